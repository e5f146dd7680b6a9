"""The stages, a folder for each kind of model and a file for each architecture; kinds never import each other."""
