"""Who is who, what is known of them, what they allow. Pure: what is on record and what came in
give a plan of what to change.

**Identity.** Items are taken one after the other, in the order of arrival. How they are cut into
batches makes no difference to anything that is kept.

1. A user id belongs to one profile. Only an ``alias`` whose ``previousId`` is itself a known user
   id brings two profiles with user ids together; nothing weaker does.
2. An anonymous id that comes with a user id, or with an e-mail address, links: unknown, it joins;
   known, its profile and the other one merge. If both have user ids (a shared device), it stays
   with the profile that had it first, and the item goes to its user id's.
3. An e-mail address links like an anonymous id, if it is well formed and stands in the traits of
   an ``identify``. An address that two profiles with user ids have claimed is a shared mailbox:
   it stays where it is and links nobody any more.
4. ``alias`` takes a ``previousId`` that is no known user id for an anonymous id.
5. Of two profiles that merge, the one first seen earlier is kept; seen at the same time, the one
   with the smaller id.
6. An item comes by the first it has of user id, anonymous id, e-mail address, previous id.

**Traits.** Per key the last write by event time holds, then the greater message id: a join, so
order and repetition make no difference, not even to what is passed over where there are too many
(see `traits`). A null removes. No write is newer than its receipt, or a device whose clock is ahead
would have the last word for years.

**Consent.** Facts are only ever added; per channel the last by time holds, and of two at the same
time the denial. What is tracked under one name may speak of 100 channels; others are passed over.
"""

from martech.modules.profiles.domain.activities import (
    ABOUT_TRAITS,
    EPOCH,
    activity,
    sparse,
)
from martech.modules.profiles.domain.consent import (
    Fact,
    bounded,
    consent_changes,
    differing,
    facts,
    holding,
)
from martech.modules.profiles.domain.identity import (
    Known,
    Link,
    Person,
    Plan,
    profile_id,
    resolve,
)
from martech.modules.profiles.domain.reading import (
    NULL,
    Key,
    Reading,
    Said,
    is_channel,
    preferences,
    read,
)
from martech.modules.profiles.domain.traits import (
    Traits,
    Written,
    changes,
    differences,
    joined,
    shown,
    speakers,
    traits_after,
)

__all__ = [
    "ABOUT_TRAITS",
    "EPOCH",
    "NULL",
    "Fact",
    "Key",
    "Known",
    "Link",
    "Person",
    "Plan",
    "Reading",
    "Said",
    "Traits",
    "Written",
    "activity",
    "bounded",
    "changes",
    "consent_changes",
    "differences",
    "differing",
    "facts",
    "holding",
    "is_channel",
    "joined",
    "preferences",
    "profile_id",
    "read",
    "resolve",
    "shown",
    "sparse",
    "speakers",
    "traits_after",
]
