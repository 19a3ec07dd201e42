"""The accuracy table: four models of one backbone on the same folds by patient, with paired differences."""
