"""Path convertors for ids. They exclude literal segments, such as `me` in `/time-entries/me`."""

from starlette.convertors import Convertor, register_url_convertor


class _ExceptLiterals(Convertor[str]):
    """Any other segment. The type of the path parameter validates the id."""

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _EntryConvertor(_ExceptLiterals):
    regex = "(?!(?:me|current|bulk|clock-in|clock-out)(?:/|$))[^/]+"


class _UserConvertor(_ExceptLiterals):
    regex = "(?!(?:import|export)(?:/|$))[^/]+"


register_url_convertor("entry", _EntryConvertor())
register_url_convertor("user", _UserConvertor())

ENTRY_PATH = "/{entry_id:entry}"
USER_PATH = "/{user_id:user}"
