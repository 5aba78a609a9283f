"""The environment variables that settings are read from."""

from callsheet.providers.catalog import load_provider_classes
from callsheet.settings import Settings


def setting_variables():
    """Every variable of a setting, its aliases, and the names of secret files."""
    names = {str(name).upper() for field in Settings.model_fields.values() for name in field.validation_alias.choices}
    for provider in load_provider_classes().values():
        for field in provider.settings_class.model_fields:
            names.update(provider.settings_class.variables(field))
    return names | {f"{name}_FILE" for name in names}
