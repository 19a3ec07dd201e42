"""How good a model is: classification with intervals, calibration, and where its evidence lies."""
