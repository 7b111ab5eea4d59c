from martech.kernel.module import Module, Projection
from martech.modules.delivery import contract, handlers, jobs, service, tables
from martech.modules.delivery.adapters.post import Post
from martech.modules.delivery.adapters.running import Running
from martech.modules.delivery.domain.settings import DeliverySettings
from martech.modules.delivery.http import engagement, messages, sends, suppressions
from martech.modules.delivery.service.engaging import Reception
from martech.modules.delivery.service.writing import Proofs, Writer

module = Module(
    port=contract.Delivery,
    service=service.DeliveryService,
    tables=tables.metadata,
    controllers=[
        sends.SendController,
        messages.MessageController,
        messages.ReconciliationController,
        messages.StatusController,
        suppressions.SuppressionController,
    ],
    protocols=[
        engagement.LinkController,
        engagement.PictureController,
        engagement.UnsubscribeController,
    ],
    subscriptions=[handlers.know_recipients, handlers.keep_contents],
    projections=[
        Projection(
            of=handlers.know_recipients, tables=[tables.recipients], beside=[tables.suppressions]
        ),
        Projection(of=handlers.keep_contents, tables=[tables.contents, tables.withdrawals]),
    ],
    jobs=[jobs.deliver, jobs.cancel_waiting, jobs.tell],
    resources=[Post, Writer, Proofs, Running, Reception],
    settings=DeliverySettings,
)
