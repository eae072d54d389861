"""Sets of words that fit into a checkpoint: keyed hashes of four bytes in a small table, filled and asked in C.

`words.words` says what a word is; `lictor_native` holds itself to it, and so does a property test. The key comes from the
marks' master key: without it nobody can choose a word that is taken for another.
"""

from typing import Final

import lictor_native

MOST_SLOTS: Final = 2048
"""A table holds seven words in eight slots, of four bytes each: 1,792 words in 8 KiB."""
MOST_WORDS_OF_A_TEXT: Final = 16_384
NO_KEY: Final = bytes(16)


class Values:
    """Puts words into tables and asks for them, under one key."""

    __slots__ = ("key",)

    def __init__(self, key: bytes = NO_KEY) -> None:
        self.key = key

    def add(self, table: bytearray, text: str, most_slots: int = MOST_SLOTS) -> bool:
        """Put the words of a text into a table; return whether all found room."""
        return self.add_folded(table, text.casefold(), most_slots)

    def add_folded(self, table: bytearray, folded: str, most_slots: int = MOST_SLOTS) -> bool:
        """Put the words of a text that is folded already into a table; return whether all found room."""
        return not lictor_native.add_words(table, folded, self.key, most_slots, MOST_WORDS_OF_A_TEXT)

    def has(self, table: bytes | bytearray, word: str) -> bool:
        """Tell whether a folded word was put in. One unlike it in four thousand million is taken for it."""
        return lictor_native.has_word(table, word, self.key)

    def has_host(self, table: bytes | bytearray, host: str) -> bool:
        """Tell whether a word with this host was put in."""
        return lictor_native.has_word(table, host, self.key, True)
