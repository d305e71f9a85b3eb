"""The paired cohort: two folders of archives to a manifest and a store."""
