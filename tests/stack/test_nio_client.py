"""What the tests' client of matrix-nio does better than matrix-nio."""

from __future__ import annotations

import pytest
from nio.crypto import InboundGroupSession, OutboundGroupSession

from tests.stack.nio_client import FarthestKeys


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_keys_of_a_session_the_one_that_reaches_farther_back_is_kept(
    order: tuple[int, int],
) -> None:
    """Whichever comes first: what was decrypted once can be decrypted again."""
    session = OutboundGroupSession()
    session.mark_as_shared()
    texts = [session.session_key, session.encrypt("hello"), session.session_key]
    received = [InboundGroupSession(key, "signing", "sender", "!room") for key in texts[::2]]
    keys = FarthestKeys()
    for number in order:
        keys.add(received[number])
    assert keys.get("!room", "sender", session.id).decrypt(texts[1]) == ("hello", 0)
