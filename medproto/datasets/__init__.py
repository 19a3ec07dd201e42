"""Where images come from: manifests, patient-level splits, the synthetic cohort and adaptors of published archives."""
