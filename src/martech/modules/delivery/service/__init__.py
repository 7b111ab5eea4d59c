"""What delivery does. Every public method is one use case."""

from martech.modules.delivery.contract import Delivery
from martech.modules.delivery.service.cancelling import Cancelling
from martech.modules.delivery.service.engaging import Engaging
from martech.modules.delivery.service.gathering import Gathering
from martech.modules.delivery.service.hearing import Hearing
from martech.modules.delivery.service.looking import Looking
from martech.modules.delivery.service.observing import Observing
from martech.modules.delivery.service.reconciling import Reconciling
from martech.modules.delivery.service.sending import Sending
from martech.modules.delivery.service.suppressing import Suppressing
from martech.modules.delivery.service.telling import Telling


class DeliveryService(
    Sending,
    Cancelling,
    Gathering,
    Looking,
    Engaging,
    Reconciling,
    Suppressing,
    Hearing,
    Telling,
    Observing,
    Delivery,
):
    """Claims, sends and settles messages; hears of people and contents; shows what became."""
