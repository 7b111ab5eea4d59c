"""What campaigns does later, and with its neighbours."""

from martech.kernel.errors import Conflict, Invalid, NotFound, Unavailable
from martech.kernel.module import Unit, job
from martech.modules.campaigns import domain
from martech.modules.campaigns.domain import steering
from martech.modules.campaigns.domain.steering import Advance, Outcome, Standing, Start, Step
from martech.modules.campaigns.service import CampaignService
from martech.modules.content.contract import Content
from martech.modules.delivery.contract import Delivery
from martech.modules.personalization.contract import Members, Personalization

CHANGED = (
    "The segment was changed while its people were being read: some would be picked by what it "
    "was, others by what it is. Launch it again; whoever has had its mail is left out."
)


@job(Start, inward=True)
async def start(command: Start, service: CampaignService) -> None:
    """Launch what was scheduled for now, unless that was missed."""
    await service.start(command)


@job(Advance)
async def advance(
    command: Advance,
    unit: Unit[CampaignService],
    content: Content,
    personalization: Personalization,
    delivery: Delivery,
) -> None:
    """One step after the other, each written down before the next; between two of them whatever
    was ordered meanwhile is seen. Whoever has taken one asks for another attempt, so that what
    takes long, or breaks off, goes on with all its patience."""
    async with unit() as service:
        standing = await service.standing(command.campaign_id)
    for _ in range(steering.STEPS):
        step = steering.next_step(standing) if standing else None
        if standing is None or step is None:
            return
        try:
            outcome = await _take(step, standing, content, personalization, delivery)
        except Exception as error:
            async with unit() as service:
                await service.note(command.campaign_id, error)
            raise
        async with unit() as service:
            standing = await service.record(standing, outcome)
        if isinstance(outcome, steering.Lost):  # in a moment: nobody runs in circles
            raise Unavailable("The segment's pages begin elsewhere now; it is read once more.")


async def _take(
    step: Step,
    standing: Standing,
    content: Content,
    personalization: Personalization,
    delivery: Delivery,
) -> Outcome:
    if step == "fix":
        return await _fix(standing, content, personalization)
    try:
        match step:
            case "open":
                return await _open(standing, delivery)
            case "page":
                return await _page(standing, personalization, delivery)
            case "seal":
                await delivery.seal_send(standing.send_id)
                return steering.Sealed()
            case _:
                return await _steer(step, standing, delivery)
    except Conflict as refused:
        return await _refused(step, standing, delivery, refused)


async def _refused(
    step: Step, standing: Standing, delivery: Delivery, refused: Conflict
) -> Outcome:
    """What it means that delivery would not."""
    if step == "open":
        return steering.Failed(refused.detail)  # the content was withdrawn at this moment
    send = await delivery.send(standing.send_id)
    if send.status == "cancelled":
        return steering.Stopped()
    if send.status == "completed":
        return steering.Steered() if step != "page" else steering.Sealed()
    if send.sealed and step == "page":
        return steering.Sealed()  # by another worker; what is on record says how far it is
    raise refused


async def _fix(standing: Standing, content: Content, personalization: Personalization) -> Outcome:
    try:
        segment = await personalization.segment(standing.segment_id)
        published = await content.published(standing.content_id)
    except NotFound as missing:
        return steering.Failed(missing.detail)
    if not segment.ready:
        raise Unavailable("The segment is being computed; the launch waits for it.", retry_after=1)
    return steering.Fixed(published.version, segment.size, segment.version)


async def _page(
    standing: Standing, personalization: Personalization, delivery: Delivery
) -> Outcome:
    try:
        members = await _members(standing, personalization)
    except NotFound as missing:
        return steering.Failed(missing.detail)
    except Invalid:
        if standing.page is None and standing.stage != "late":
            raise
        return steering.Lost()
    if members.position < (standing.began or 0):
        return steering.Lost()
    if members.version and standing.segment_version not in (None, members.version):
        return steering.Failed(CHANGED)
    if members.data:
        await delivery.add_recipients(standing.send_id, members.data)
    return steering.Handed(members.next, members.position)


async def _members(standing: Standing, personalization: Personalization) -> Members:
    """The next page of the segment, or of those who came while it was read."""
    if standing.stage != "late":
        return await personalization.members(
            standing.segment_id, after=standing.page, limit=domain.PAGE
        )
    return await personalization.members(
        standing.segment_id,
        after=standing.page,
        limit=domain.PAGE,
        entered_after=standing.began,
    )


async def _steer(step: Step, standing: Standing, delivery: Delivery) -> Outcome:
    """What goes on goes at its rate from the first mail on."""
    send_id = standing.send_id
    try:
        match step:
            case "pause":
                send = await delivery.pause_send(send_id)
            case "resume" | "rate":
                send = await delivery.send(send_id)
            case _:
                await delivery.cancel_send(send_id)
                return steering.Steered()
    except NotFound:
        if standing.stage != "fixed":
            raise
        return steering.Steered()  # it was stopped before it was opened
    if send.rate != standing.rate:
        await delivery.change_rate(send_id, standing.rate)
    if step == "resume":
        await delivery.resume_send(send_id)
    return steering.Steered()


async def _open(standing: Standing, delivery: Delivery) -> Outcome:
    send = await delivery.open_send(
        standing.send_id,
        source=domain.source_of(standing.campaign_id),
        occasion=domain.OCCASION,
        name=standing.name,
        content_id=standing.content_id,
        content_version=standing.content_version or 0,
        rate=standing.rate,
    )
    if send.status == "cancelled":
        return steering.Stopped()
    return steering.Opened(going=send.status == "open" and send.rate == standing.rate)
