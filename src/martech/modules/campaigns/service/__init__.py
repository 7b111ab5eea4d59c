"""What campaigns does. Every public method is one use case."""

from martech.modules.campaigns.contract import Campaigns
from martech.modules.campaigns.service.advancing import Advancing
from martech.modules.campaigns.service.following import Following
from martech.modules.campaigns.service.ordering import Ordering
from martech.modules.campaigns.service.planning import Planning


class CampaignService(Planning, Ordering, Advancing, Following, Campaigns):
    """Keeps campaigns, takes orders, notes what was done about them, and shows how they stand."""
