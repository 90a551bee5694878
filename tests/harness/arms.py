# SPDX-License-Identifier: Apache-2.0
"""Three arms of one check: unsandboxed it must succeed, in the product it must not, and in a mutant
it succeeds again, or the layer that still held is named."""
import dataclasses
import os

from . import canaries, runner, world

REFUSED = "refused"  # the mutant does not start its payload: the receipt differs from the plan


@dataclasses.dataclass
class Check:
    """`attempt` runs the probe against a Target and returns what got through, one line each.

    `mutants` maps a mutant to the expectation: "red", REFUSED, or "held by ..." (then another
    mutant of the same check, with that layer off too, must be red). A pair (as root, as user)
    stands where the two differ, None in it for a defence that only root has. `control` is False where the probe cannot run outside, or "root".
    `root` is True where every arm needs it. `process` and `guarded` are the mutants at the process
    tier, with a pid namespace and without one; None: the check does not apply there.
    """
    name: str
    attempt: callable
    mutants: dict = dataclasses.field(default_factory=dict)
    control: object = True
    root: bool = False
    container: bool = True
    process: dict = None
    guarded: dict = None

    def tiers(self):
        """{tier: mutants}"""
        of = {"container": self.mutants if self.container else None, "process": self.process,
              "guarded": self.guarded}
        return {tier: mutants for tier, mutants in of.items() if mutants is not None}

    def arms(self):
        """Pairs of tier and arm. What happens outside has no tier: once is enough."""
        outside = [("container", "control")] if self.control else []
        return outside + [(tier, arm) for tier, mutants in self.tiers().items()
                          for arm in ["test", *mutants]]

    def all_mutants(self):
        return {mutant for mutants in self.tiers().values() for mutant in mutants}

    def needs_root(self, tier, arm):
        return self.root or arm == "control" and self.control == "root" or \
            arm in self.tiers().get(tier, {}) and self.tiers()[tier][arm][1] is None

    def expected(self, tier, mutant):
        wanted = self.tiers()[tier][mutant]
        return wanted if isinstance(wanted, str) else wanted[0 if os.geteuid() == 0 else 1]


class NoOutcome(AssertionError):
    """The probe said nothing: neither a wall that held nor one that fell."""


class Target:
    """Where a probe runs: outside (binary None), in the product, or in a mutant."""

    def __init__(self, base, binary, tier="container"):
        self.tier = tier
        self.base = base
        self.sandboxed = binary is not None
        self.atoll = runner.Atoll(base / "product", binary or runner.BIN, tier)
        self.workspace = self.atoll.workspace
        self.canaries = canaries.Canaries(base / "outside")
        self.world = world.World([base])
        self.results = []

    def probe(self, name):
        return self.atoll.probe(name)

    def run(self, *command, options=(), wrap=(), terminal=False, quiet=False, env=None, **how):
        """`wrap` goes before the command outside only, where it must be kept from the host."""
        if self.sandboxed:
            go = self.atoll.run_on_terminal if terminal else self.atoll.run
            result = go(*command, options=options, env=env, **how)
        else:
            go = runner.on_terminal if terminal else runner.capture
            result = go([*wrap, *command], cwd=self.workspace,
                        env=runner.command_environment(env), **how)
        self.results.append(result)
        if not self.refused() and not quiet and not result.probes():
            raise NoOutcome(str(result))
        return result

    def refused(self):
        """The product found the mismatch itself and started nothing."""
        return any(r.status == 125 and (r.reason or "").startswith("error") for r in self.results)

    def done(self, attempt):
        """Runs the attempt; returns everything that should not have happened."""
        through = list(attempt(self))
        for result in self.results:
            through += self.canaries.breaches(result)
        if self.sandboxed:
            through += self.world.changes()
        return list(dict.fromkeys(through))

    def close(self):
        self.canaries.close()


def judge(check, arm, base, tier="container"):
    """Raises AssertionError unless the arm gave what it must."""
    binary = {"control": None, "test": runner.BIN}.get(arm, runner.MUTANTS / f"atoll-{arm}")
    if binary and not binary.exists():
        raise AssertionError(f"there is no {binary}")
    target = Target(base, binary, tier)
    try:
        through = target.done(check.attempt)
    finally:
        target.close()
    evidence = "\n".join(str(r) for r in target.results)
    if arm == "control":
        assert through, f"nothing gets through outside either: the check proves nothing\n{evidence}"
    elif arm == "test":
        assert not target.refused(), f"it did not start\n{evidence}"
        assert through == [], f"{through}\n{evidence}"
    elif check.expected(tier, arm) == "red":
        assert through, f"a defence is off and the check does not notice\n{evidence}"
    elif check.expected(tier, arm) == REFUSED:
        assert target.refused(), f"it started without a wall\n{evidence}"
    else:
        assert not target.refused() and through == [], f"{check.expected(tier, arm)}: {through}\n{evidence}"
