"""A synthetic screening cohort as DICOM."""
