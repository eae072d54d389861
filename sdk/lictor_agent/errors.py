"""What an agent can meet: a refusal it may handle, and a stop it may not."""


class LictorAgentError(Exception):
    """Something is wrong with how Lictor is used or reached."""


class BadConfiguration(LictorAgentError):
    """A setting or key is missing or unusable."""


class ToolDenied(LictorAgentError):
    """The gate refused a call. The message says why, by which rule and policy version; tell it to the model.

    `verdict` is `deny`, or `ask` where a person would have to agree first.
    """

    def __init__(self, message: str, *, verdict: str, rule: str, grant: str, policy_version: int) -> None:
        self.verdict = verdict
        self.rule = rule
        self.grant = grant
        self.policy_version = policy_version
        super().__init__(message)


class AgentStopped(BaseException):
    """This run was ordered to stop. Not an `Exception`, so that no `except Exception` carries on regardless."""

    def __init__(self, reason: str, *, command_id: str, run_id: str) -> None:
        self.reason = reason
        self.command_id = command_id
        self.run_id = run_id
        super().__init__(f"run {run_id} was stopped: {reason}")
