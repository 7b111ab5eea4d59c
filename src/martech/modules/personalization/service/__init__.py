"""What personalization does. Every public method is one use case."""

from martech.modules.personalization.contract import Personalization
from martech.modules.personalization.service.computing import Computing
from martech.modules.personalization.service.defining import Defining
from martech.modules.personalization.service.following import FollowingNews
from martech.modules.personalization.service.looking import Looking
from martech.modules.personalization.service.previewing import Previewing


class PersonalizationService(
    FollowingNews, Computing, Defining, Previewing, Looking, Personalization
):
    """Keeps who belongs to which segment, tells of it, and shows it."""
