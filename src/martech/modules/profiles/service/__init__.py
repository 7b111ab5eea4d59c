"""What profiles does. Every public method is one use case."""

from martech.modules.profiles.contract import Profiles
from martech.modules.profiles.service.consenting import Consenting
from martech.modules.profiles.service.looking import Looking
from martech.modules.profiles.service.recording import Recording
from martech.modules.profiles.service.remembering import Remembering


class ProfileService(Recording, Consenting, Looking, Remembering, Profiles):
    """Writes what is tracked and what people allow; shows who they are and what they did."""
