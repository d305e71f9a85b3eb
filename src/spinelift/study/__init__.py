"""The study: from a cohort store to the paper's tables, resumable at every step."""
