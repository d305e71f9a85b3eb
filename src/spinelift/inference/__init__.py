"""Prediction with ONNX Runtime: one scan, or many. No torch."""

from spinelift.inference.measuring import measure
from spinelift.inference.model import Model, load_model, predict, predict_many
from spinelift.inference.prediction import Prediction

__all__ = ["Model", "Prediction", "load_model", "measure", "predict", "predict_many"]
