"""{{ cookiecutter.__slug }}: services that the launcher runs, each a class in a module of its own."""
