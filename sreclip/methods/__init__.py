"""Registered methods: the name of each and where its class is, imported when it is used."""

from sreclip.config.methods import METHOD_NAMES, MethodsSettings

METHODS = {
    name: f"{__name__}.{name}:{type(settings).__name__.removesuffix('Settings')}"
    for name, settings in ((name, MethodsSettings().settings(name)) for name in METHOD_NAMES)
}
