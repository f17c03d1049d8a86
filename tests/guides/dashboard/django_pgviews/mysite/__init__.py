"""The project of the chapter’s section on django-pgviews-redux."""
