"""Train a network without batch norm on painted spines: ``python ddp_run.py FOLDER PROCESSES``.

Nothing is augmented or dropped, so that several processes must do exactly what one does.
"""

import sys
from pathlib import Path

from spinelift.learn.regressor.config import RegressorConfig
from spinelift.learn.regressor.train import train_regressor

OFF = {"row_px": 0.0, "column_px": 0.0}


def main(folder: Path, processes: int) -> None:
    network = {"backbone": "convnext_atto", "pretrained": False, "bot_layers": 0, "dropout": 0.0}
    augment = {"geometry": OFF, "tone": {"contrast": 0.0, "noise": 0.0}}
    loop = {"batch": 4, "epochs": None, "steps": 5, "log_every": 1, "validate_limit": 4, "threads": 1}
    device = {"accelerator": "cpu", "devices": processes}
    changes = {"network": network, "augment": augment, "loop": loop, "device": device}
    config = RegressorConfig.load("paper.yaml").override(changes)
    data, validation = [folder / "pairs.zarr"], folder / "val.zarr"
    train_regressor(config, data=data, validation=validation, out=folder / str(processes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
