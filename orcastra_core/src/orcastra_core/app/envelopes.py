"""From a call to its envelope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orcastra_core.app.options import PLAIN, SubmitOptions
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.model.envelope import NO_HEADERS, Envelope
from orcastra_core.model.ids import IdFactory
from orcastra_core.runtime.context import current_context
from orcastra_core.runtime.results_elsewhere import REPLY
from orcastra_core.runtime.task_spec import TaskSpec


class EnvelopeMaker:
    """Makes envelopes; one for each app and process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._new_id = IdFactory(clock.now)
        self._offset = self._due_offset = 0.0
        self._channel: str | None = None
        self._headers: Mapping[str, Any] = NO_HEADERS

    def attach(self, clock_offset: float, due_offset: float, channel: str | None, *, elsewhere: bool = False) -> None:
        """Take over what an opened broker said; ids start anew, the process may be a forked one.

        ``elsewhere``: the channel is one of another store than the queue's.
        """
        self._new_id = IdFactory(self._clock.now)
        self._offset, self._due_offset = clock_offset, due_offset
        self._channel = None if elsewhere else channel
        self._headers = {REPLY: channel} if elsewhere else NO_HEADERS

    def make(
        self,
        spec: TaskSpec,
        options: SubmitOptions,
        serializer: Serializer,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Envelope:
        """Return the envelope of a call.

        Raises:
            InvalidArguments, SerializationError: Naming task and parameter.
        """
        body = spec.signature.dump(serializer, args, kwargs)
        now = self._clock.now()
        parent = current_context()
        if options is PLAIN and parent is None and not self._headers:  # the usual one, and the same as below
            task_id, queue, task, priority = self._new_id(), spec.queue, spec.name, spec.priority
            content_type, channel = serializer.content_type, self._channel
            return Envelope(task_id, queue, task, body, content_type, priority, None, None, None, None, channel, now)
        due = options.at if options.delay is None else now + self._due_offset + options.delay
        expires = options.expires_at if options.expires is None else now + self._offset + options.expires
        return Envelope(
            self._new_id(),
            options.queue or spec.queue,
            spec.name,
            body,
            serializer.content_type,
            spec.priority if options.priority is None else options.priority,
            due,
            expires,
            options.dedup,
            options.order_by,
            self._channel,
            now,
            options.timeout,
            options.result_ttl,
            parent.id if parent is not None else None,
            headers={**options.headers, **self._headers} if self._headers else options.headers,
        )
