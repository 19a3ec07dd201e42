"""What medproto's models are for, what they are not for, and the limits that all of them share."""

from __future__ import annotations

from typing import Final

INTENDED: Final = "For studies on retrospective or synthetic exams, for teaching, and for auditing such models."
NOT_INTENDED: Final = (
    "Not for primary diagnosis, not for triage of patients, not without a reader who has looked at the images first."
)
#: Of every model, whatever it was trained on.
LIMITS: Final = (
    "A likeness to a training patch is no diagnosis, and a lesion unlike every training patch gets a low score.",
    "A probability holds at the prevalence written beside it, and at no other.",
    "An exam unlike the training data gets no probability and no decision; the threshold was set on one data set.",
    "The score is a maximum over views: missing views lower it, and breast scores are shown beside the exam's.",
    "Raw (FOR PROCESSING) images, tomosynthesis and anything but mammograms are refused. Magnification and spot views, "
    "implants, cut breasts and unknown spacing are scored with a warning.",
    "Heatmaps show where the likeness was found, not where a lesion ends.",
)
