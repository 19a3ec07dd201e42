"""The global analysis of a bundle: `survey.survey` looks at every prototype, `folder.write_folder` writes its page."""
