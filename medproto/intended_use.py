"""What medproto's models are for and not for, and the hazards and limits that all of them share."""

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
#: What may go wrong with any of them, and what keeps that small.
HAZARDS: Final = (
    ("A cancer is not flagged.", "Every exam is read, flagged or not: a score sorts a list and closes no case."),
    (
        "Something harmless is flagged.",
        "The evidence and its check by blanking are looked at before a reader agrees; nobody is recalled by a score.",
    ),
    (
        "A score or a map draws the eye away from the rest of the image.",
        "The reading room can ask for the reader's opinion before it shows either.",
    ),
    (
        "The evidence looks right for a wrong reason.",
        "A box that does no better under blanking than a random one is marked; what misled a reader is signed and "
        "listed.",
    ),
    (
        "The model meets machines, patients or findings that it never saw.",
        "An exam too far from the training data gets no score, which does not catch them all: evaluate on your own "
        "exams first.",
    ),
    (
        "Sides, views or patients are mixed up.",
        "Side, view and pseudonym stand beside every picture and contradictions are marked; the archive has the last "
        "word.",
    ),
    ("A screen hides a finding.", "A browser on a screen that nobody calibrated is no display for diagnosis."),
)
