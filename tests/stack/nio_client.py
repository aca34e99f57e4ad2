"""matrix-nio's client without what loses room keys in its version 0.26."""

from __future__ import annotations

from nio import AsyncClient, LocalProtocolError, ShareGroupSessionResponse
from nio.crypto import GroupSessionStore, InboundGroupSession


class FarthestKeys(GroupSessionStore):  # type: ignore[misc]
    """Room keys, of each the one that reaches farthest back.

    matrix-rust-sdk sends a room's key again, from the present message on, to every device that began
    a new Olm session with it. nio takes the later key in place of the earlier one, and can then no
    longer decrypt what it has decrypted before.
    """

    def add(self, session: InboundGroupSession) -> bool:
        """Take a key unless it is known from an earlier message on; return whether it was taken."""
        known = self.get(session.room_id, session.sender_key, session.id)
        if known and known.first_known_index <= session.first_known_index:
            return False
        return bool(super().add(session))


class CarefulClient(AsyncClient):  # type: ignore[misc]
    """Sends nothing that one of the devices in `needed`, a user and a device each, could not read.

    nio takes a room's key for shared whatever the server answered, and whoever was left out.
    """

    needed: frozenset[tuple[str, str]] = frozenset()

    def keep_farthest_keys(self) -> None:
        """Keep room keys as `FarthestKeys` does, from the sign-in on."""
        self.olm.inbound_group_store = FarthestKeys()

    async def share_group_session(
        self,
        room_id: str,
        ignore_unverified_devices: bool = False,
    ) -> ShareGroupSessionResponse:
        """Share the room's key with everybody; raises LocalProtocolError if that did not succeed."""
        try:
            answer = await super().share_group_session(room_id, ignore_unverified_devices)
        except KeyError as error:
            msg = "a list of devices changed while the room's key was shared"
            raise LocalProtocolError(msg) from error
        finally:
            # Where the claim of one-time keys fails, nio would wait for the end of this for ever.
            if sharing := self.sharing_session.pop(room_id, None):
                sharing.set()
        if not self.needed <= answer.users_shared_with:
            self.invalidate_outbound_session(room_id)
            msg = f"the room's key reached {sorted(answer.users_shared_with)} alone"
            raise LocalProtocolError(msg)
        return answer
