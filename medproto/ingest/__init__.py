"""Mammography DICOM in: one file to a `Mammogram`, or refused with a reason (pydicom, numpy and scipy alone)."""
