#!/usr/bin/env python3
"""Breaks one rule of learning at a time and shows that the tests notice.

Usage: scripts/mutants.py [--only SUBSTRING ...] [--list]

A mutant is the sources with one rule turned round: a truncated step that does not bootstrap, an entropy bonus of the
wrong sign. Each is built and tested alone, in a copy of the sources below target/mutants/; the checkout is not touched.
A mutant is *killed* when a test fails; it *survives* when all pass, and then the rule it breaks is not tested: write
the test. An *unbuildable* one says nothing about the tests: put it right here. First the sources as they are must pass.

One line a mutant goes to stderr, with the first test that failed; one JSON object to stdout at the end. Exits 0 when
all are killed. `--list` builds nothing: it prints the mutants and checks that each finds its place in the sources.

The rules are those that reinforcement learning is known to break unseen: of returns and traces, resets, densities, each
algorithm's loss, replay, running statistics, optimisers and layers, and environments. Then those of learning from several
symbols.
"""

import argparse
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBTORCH = ROOT / ".libtorch"
WORK = ROOT / "target" / "mutants"
TREE = WORK / "tree"

# Exit codes of cargo-nextest.
ALL_PASSED, A_TEST_FAILED, NOT_BUILT = 0, 100, 101
# A test that hangs is ended by nextest itself, see .config/nextest.toml.
FAILURE = re.compile(r"^\s+(?:FAIL|TIMEOUT|ABORT|SIG\w+)(?: \+ LEAK)?\s+\[[^\]]*\]\s+(?:\([^)]*\)\s+)?(\S+) +(\S+)",
                     re.MULTILINE)


# Tests that train for a while: they are asked last.
LONG = "/supervised|probes|resumes|pattern/"

# What is slow without optimisation; the others build faster with little of it.
OPTIMISED = ("neural", "envs")


@dataclass(frozen=True)
class Mutant:
    """`before` stands once in `file`; with `after` in its place, `name` is what the sources do wrong."""

    name: str
    file: str
    before: str
    after: str
    packages: tuple[str, ...]  # whose tests must notice
    tests: str = "--lib"


def broken(file, packages, *rules, tests="--lib"):
    """Mutants of one file from (name, before, after)."""
    return [Mutant(name, file, before, after, tuple(packages), tests) for name, before, after in rules]


MUTANTS = [
    # Returns and their traces.
    *broken("trainer/src/gae.rs", ["trainer"],
        ("a truncated step does not bootstrap", "StepOutcome::Truncated => (trace.final_values[at], 0.0),",
         "StepOutcome::Truncated => (0.0, 0.0),"),
        ("a terminated step bootstraps", "StepOutcome::Terminated => (0.0, 0.0),",
         "StepOutcome::Terminated => (next_value, 0.0),"),
        ("a trace crosses a termination", "StepOutcome::Terminated => (0.0, 0.0),",
         "StepOutcome::Terminated => (0.0, next_advantage),"),
        ("a trace crosses a truncation", "StepOutcome::Truncated => (trace.final_values[at], 0.0),",
         "StepOutcome::Truncated => (trace.final_values[at], next_advantage),"),
        ("a trace decays without lambda", "surprise + gamma * lambda * carried", "surprise + gamma * carried"),
    ),
    *broken("trainer/src/rollout.rs", ["trainer"],
        ("a truncated step bootstraps from the next start", "&world.buffers.final_observations",
         "&world.buffers.observations"),
        ("the rewards of a rollout are not scaled", "world.scale(&mut scaled, 1);", ""),
        ("returns are advantages", "|(advantage, value)| advantage + value", "|(advantage, _)| *advantage"),
        ("a reset is a row of a rollout", ".filter(|env| !resetting[*env])", ".filter(|env| resetting.len() > *env)"),
        ("a Gaussian action is cut before it is kept", "actions.push(action);",
         "actions.push(action.clamp(-1.0, 1.0));"),
        ("a Gaussian action has the density of what it is cut to", "[action, *mean, *log_deviation]",
         "[action.clamp(-1.0, 1.0), *mean, *log_deviation]"),
    ),
    # PPO.
    *broken("trainer/src/algorithms/ppo.rs", ["trainer"],
        ("advantages are not normalised", "normalise(&mut self.minibatch.advantages);", ""),
        ("advantages are divided by the deviation with n, not n - 1", "/ (count - 1.0);", "/ count;"),
        ("the surrogate is the larger of its two sides", "if free <= cut {", "if free >= cut {"),
        ("a ratio that was cut keeps its slope", "Surrogate { loss: -cut, slope: 0.0 }",
         "Surrogate { loss: -cut, slope: -cut }"),
        ("the value clip is ignored", "|clip| (value - old).clamp(-clip, clip)", "|_| value - old"),
        ("a value beyond its clip keeps its slope", "if inside { error } else { 0.0 }", "error"),
        ("the value loss is a sum over rows, not a mean", "(self.spec.value * slope / rows as f64) as f32",
         "(self.spec.value * slope) as f32"),
        ("the value loss has no weight", "(self.spec.value * slope / rows as f64)", "(slope / rows as f64)"),
        ("the entropy of a categorical policy is penalised", "let bonus = self.entropy / rows as f64;",
         "let bonus = -self.entropy / rows as f64;"),
        ("the entropy of a Gaussian policy is penalised", "vec![-self.entropy; width]", "vec![self.entropy; width]"),
        ("the KL estimate has the wrong sign", "(log_ratio.exp_m1() - log_ratio) / rows",
         "(log_ratio - log_ratio.exp_m1()) / rows"),
        ("the KL estimate is the mean of -ln r", "(log_ratio.exp_m1() - log_ratio) / rows", "-log_ratio / rows"),
        ("rows within the clip range count as cut", ".abs() > self.clip", ".abs() < self.clip"),
        ("PPO's Adam has the epsilon of the others", "const ADAM_EPSILON: f32 = 1e-5;",
         "const ADAM_EPSILON: f32 = 1e-8;"),
        ("PPO's gradient is not clipped", "norm_max: Some(spec.gradient_norm_max)", "norm_max: None"),
        ("a resumed PPO shuffles as if from the start", "self.rollouts = saved.rollouts;", "let _ = saved.rollouts;"),
    ),
    # Densities.
    *broken("trainer/src/distribution.rs", ["trainer"],
        ("squashing changes no density", " - 2.0 * (LN_2 - u - softplus(-2.0 * u))", ""),
        ("the change of variables has a small constant", " - 2.0 * (LN_2 - u - softplus(-2.0 * u))",
         " - (1.0 - u.tanh().powi(2) + 1e-6).ln()"),
        ("a Gaussian density forgets its deviation", "-0.5 * z * z - log_deviation", "-0.5 * z * z"),
    ),
    # SAC.
    *broken("trainer/src/algorithms/sac.rs", ["trainer"],
        ("the temperature rises with the entropy", "[-(density + wanted) as f32]", "[(density + wanted) as f32]"),
        ("the wanted entropy is +width", "target_entropy.unwrap_or(-(width as f64))",
         "target_entropy.unwrap_or(width as f64)"),
        ("SAC's target has no entropy", " - (alpha * densities[row]) as f32;", ";"),
        ("SAC's target is the larger of two critics", "first[row].min(second[row]) - (alpha",
         "first[row].max(second[row]) - (alpha"),
        ("SAC's policy climbs the larger of two critics", "usize::from(b < a)", "usize::from(b > a)"),
        ("SAC's policy descends its critics", "- slope * (1.0 - a * a);", "+ slope * (1.0 - a * a);"),
    ),
    *broken("trainer/src/critics.rs", ["trainer"],
        ("a terminal step bootstraps its soft value", "batch.rewards[row] + batch.discounts[row] * next_value(row)",
         "batch.rewards[row] + batch.discounts[row].max(0.99) * next_value(row)"),
    ),
    # TD3.
    *broken("trainer/src/algorithms/td3.rs", ["trainer"],
        ("the noise on TD3's target action is not cut", "(deviation * noise()).clamp(-most, most)",
         "deviation * noise()"),
        ("TD3's target action leaves its range",
         "(*action + (deviation * noise()).clamp(-most, most)).clamp(-1.0, 1.0)",
         "*action + (deviation * noise()).clamp(-most, most)"),
        ("TD3's target is the larger of two critics", "first[row].min(second[row])", "first[row].max(second[row])"),
        ("TD3's policy moves with every update", "is_multiple_of(u64::from(self.spec.policy_delay))",
         "is_multiple_of(1)"),
        ("TD3's targets move with every update", "self.critic_adam.step(&mut self.agent.weights[split..]",
         "polyak(&mut self.target, &self.agent.weights, self.spec.tau);\n"
         "        self.critic_adam.step(&mut self.agent.weights[split..]"),
        ("TD3's policy climbs the second critic", "self.critics.toward_action(0, ", "self.critics.toward_action(1, "),
        ("TD3's policy descends its critic", "-1.0 / rows as f32", "1.0 / rows as f32"),
    ),
    # DQN.
    *broken("trainer/src/algorithms/dqn.rs", ["trainer"],
        ("double DQN's target network chooses its own action", "let weights = &self.agent.weights;",
         "let weights = &self.target;"),
        ("a terminated transition bootstraps its value", "batch.rewards[row] + batch.discounts[row] * value",
         "batch.rewards[row] + batch.discounts[row].max(0.99) * value"),
        ("Huber's loss has no corner", "if error.abs() <= 1.0 { error * error / 2.0 } else { error.abs() - 0.5 }",
         "error * error / 2.0"),
        ("Huber's slope is not cut at one", "weight * error.clamp(-1.0, 1.0)", "weight * error"),
        ("a duel teaches no advantage but the taken action's", "gradient[1..].fill(-slope / size as f32);",
         "gradient[1..].fill(0.0);"),
        ("the target network is copied at every step", "if copies > self.copies {", "if copies >= self.copies {"),
    ),
    *broken("crates/models/src/policy.rs", ["models"],
        ("a duel does not centre its advantages", "*value = state + advantage - mean", "*value = state + advantage"),
        ("a normalised observation is not cut at 10",
         "((*value - mean) * scale).clamp(-OBSERVATION_MAX, OBSERVATION_MAX)", "(*value - mean) * scale"),
        ("a policy that is asked does not normalise what it sees",
         "self.normalise(weights, &mut normalised[..observations.len()]);", ""),
    ),
    # Replay, and what of a step is remembered.
    *broken("trainer/src/off_policy.rs", ["trainer"],
        ("rewards drawn from memory are not scaled", "world.scale(&mut self.batch.rewards, self.spec.n_step);", ""),
        ("the observation after a reset is remembered as the end", "(&world.buffers.final_observations[row], true)",
         "(&world.buffers.observations[row], true)"),
        ("the row of a reset is remembered", "if !resetting[env] {", "if resetting.len() > env {"),
        ("a terminated row keeps its discount",
         "let discount = if outcome == StepOutcome::Terminated { 0.0 } else { step.discount as f32 };",
         "let discount = step.discount as f32;"),
        ("a truncated row is remembered as terminated", "if outcome == StepOutcome::Terminated { 0.0 }",
         "if outcome.is_end() { 0.0 }"),
        ("an end leaves steps without all their rewards pending",
         "while last && !pending.is_empty() || pending.len() >=", "while pending.len() >="),
        ("a drift outlasts its episode", "self.method.episode_ended(env);", ""),
        ("n steps on, the value is discounted once", "else { step.discount as f32 }", "else { gamma as f32 }"),
        ("n rewards are summed without discount", "step.reward += step.discount * reward;", "step.reward += reward;"),
        ("a resumed agent draws the batches of the start",
         "(self.pending, self.updates) = (saved.pending, saved.updates);", "self.pending = saved.pending;"),
    ),
    *broken("trainer/src/replay.rs", ["trainer"],
        ("a full memory overwrites its newest row", "(self.cursor + 1) % self.capacity",
         "(self.cursor + 1).min(self.capacity - 1)"),
        ("the last row is never drawn", "rng.random_range(0..self.len())",
         "rng.random_range(0..self.len().max(2) - 1)"),
        ("importance weights favour what is drawn often", ".powf(-beta)", ".powf(beta)"),
        ("importance weights are not divided by the largest", "(odds / least).powf(-beta)", "odds.powf(-beta)"),
        ("a priority is the error itself", ".powf(self.alpha)", ""),
        ("a new row has the first priority, not the largest", "priorities.set(self.cursor, priorities.largest());",
         "priorities.set(self.cursor, 1.0);"),
    ),
    *broken("trainer/src/world.rs", ["trainer"],
        ("a reset counts as a step",
         "memory.steps += resetting.iter().filter(|resetting| !**resetting).count() as u64;",
         "memory.steps += resetting.len() as u64;"),
        ("the step after an end is taken for a reset where none is", "next_step && outcome.is_end()",
         "outcome.is_end()"),
        ("a checkpoint forgets the statistics of observations", "self.memory = memory;",
         "self.memory = Memory { observed: self.memory.observed.take(), ..memory };"),
    ),
    *broken("trainer/src/agent.rs", ["trainer"],
        ("an action reaches the environment in halves of its range",
         "low + (action.clamp(-1.0, 1.0) + 1.0) / 2.0 * (high - low)", "action.clamp(-1.0, 1.0)"),
    ),
    *broken("trainer/src/learn.rs", ["trainer"],
        ("the weights of the worst evaluation are kept", "score >= best", "score <= best"),
        ("patience is endless", "self.state.stale += 1;", ""),
        ("a checkpoint forgets how far Adam is", "adam.steps = steps;", "let _ = steps;"),
    ),
    *broken("crates/spec/src/rl.rs", ["spec"],
        ("a linear schedule does not fall", "value * (1.0 - progress).max(0.0)", "value"),
    ),
    # Running statistics.
    *broken("trainer/src/moments.rs", ["trainer"],
        ("merged parts forget how far their means are apart",
         "+= other.spread[column] + apart * apart * self.count * other.count / total;", "+= other.spread[column];"),
        ("values are divided by their variance", "1.0 / (variance + EPSILON).sqrt()", "1.0 / (variance + EPSILON)"),
        ("the running return goes on after an end", "*running = 0.0;", "*running *= 1.0;"),
        ("a normalised reward is not cut at 10", ".clamp(-most, most)", ""),
    ),
    # Exploration.
    *broken("trainer/src/exploration.rs", ["trainer"],
        ("a drift goes on in the next episode", "drift.fill(0.0);", "let _ = drift;"),
        ("state-dependent noise is drawn anew every step", "moment.step / u64::from(every)", "moment.step"),
        ("state-dependent noise is drawn once", "moment.step / u64::from(every)", "0"),
    ),
    # Optimiser and layers.
    *broken("crates/neural/src/adam.rs", ["neural"],
        ("Polyak averaging keeps tau and takes the rest", "((1.0 - tau) as f32, tau as f32)",
         "(tau as f32, (1.0 - tau) as f32)"),
        ("Adam's mean is not corrected for its start", "(learning_rate / bias(BETA_1)) as f32", "learning_rate as f32"),
        ("Adam's square is not corrected for its start", "(1.0 / bias(BETA_2).sqrt()) as f32", "1.0_f32"),
        ("Adam's epsilon is under the root", "(second.sqrt() * unbias + epsilon)",
         "((*second + epsilon).sqrt() * unbias)"),
        ("a long gradient is not scaled to the norm", "(most / (norm + 1e-6)) as f32", "1.0"),
        ("a gradient is used again in the next step", "*gradient = 0.0;", ""),
    ),
    *broken("crates/neural/src/lstm.rs", ["neural"],
        ("an LSTM's input and forget gates are swapped", "*next = f * c + i * g", "*next = i * c + f * g"),
        ("an LSTM's gates are swapped on the way back", "(*i, *g) = (d_i, d_g);", "(*i, *g) = (d_g, d_i);"),
    ),
    *broken("crates/neural/src/cnn_lstm.rs", ["neural"],
        ("gradients flow into the burn-in", "flows, (rows, burn_in), &mut own[0]", "flows, (rows, 0), &mut own[0]"),
    ),
    *broken("crates/neural/src/convolution.rs", ["neural"],
        ("the padding of a convolution holds its neighbours", "self.padded.clear(output, batch, self.outputs);", ""),
    ),
    *broken("crates/neural/src/attention.rs", ["neural"],
        ("a softmax is differentiated as if its sum were fixed", "shares[at] * (toward(at) - mean) as f32",
         "shares[at] * toward(at) as f32"),
    ),
    *broken("crates/neural/src/tiles.rs", ["neural"],
        ("the slope of tanh is 1 - y", "simd.sub_f32s(one, simd.mul_f32s(y, y))", "simd.sub_f32s(one, y)"),
        ("a dead unit passes its gradient on", "simd.select_f32s(simd.greater_than_f32s(y, zero), *sum, zero)", "*sum"),
        ("rows of an earlier batch are learned from", "[first + unit].0[..rest]", "[first + unit].0"),
        ("units behind the last four have no gradient of their bias", "in together..self.sums.len()", "in together..together"),
    ),
    *broken("crates/neural/src/product.rs", ["neural"],
        ("few rows take one panel for all", "registers::<S, H>(&weights[panel][stride][k], lane)",
         "registers::<S, H>(&weights[0][stride][k], lane)"),
        ("few rows miss the panels that are left over", "for panel in panels {", "for panel in panels.take(0) {"),
        ("a chain ends with its last whole stride", "if whole < panels[0].len() {", "if whole < panels[0].len() / STRIDE {"),
        ("what ends within a panel begins with zeros", "Begin::Bias(&whole)", "Begin::Zero"),
    ),
    *broken("crates/neural/src/sequence/recurrent.rs", ["neural"],
        ("a window begins with the cells that the one before ended with", "(if turn == 0 { zero } else { last }, next)", "(last, next)"),
    ),
    *broken("crates/neural/src/sequence/pooling.rs", ["neural"],
        ("shares of attention are divided by more than their sum", "ends.fill(0.0);", "ends.fill(1e-3);"),
        ("keys of later steps are not kept for the way back", "Purpose::Learning | Purpose::Explaining => part,",
         "Purpose::Learning | Purpose::Explaining => 0 * part,"),
    ),
    *broken("crates/neural/src/mixed.rs", ["neural"],
        ("a bfloat16 is cut, not rounded", "bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16", "bits >> 16"),
        ("ties of bfloat16 go up", "0x7fff + ((bits >> 16) & 1)", "0x8000"),
        ("what is tiny in bfloat16 stays", "if magnitude < SMALLEST {", "if magnitude < 1 {"),
        ("odd places of a tile are summed on from even ones", "let mut other = own;\n",
         "let mut other = [[simd.splat_f32s(1e-7); 2]; R];\n"),
        ("rows of an earlier batch stay in a mixed gradient", "(None, _) => line.fill(0),", "(None, _) => {}"),
    ),
    *broken("crates/neural/src/sequence/recurrent/mixed.rs", ["neural"],
        ("the state before is not seen in mixed precision", "pair_up(row, &mut to[behind..])",
         "pair_up(&row[..0], &mut to[behind..])"),
        ("a mixed gradient of the state's weights is that of the input's", "sums[2 * words(inputs) * wide..]", "sums[0..]"),
        ("a mixed gradient does not reach the state before", "let (begin, target) = (Begin::Zero, &mut *d_state);\n",
         "d_state.fill(0.0);\n                let (begin, target) = (Begin::Zero, &mut vec![0.0; d_state.len()]);\n"),
    ),
    # Environments.
    *broken("envs/src/classic.rs", ["envs"],
        ("a time limit terminates", "if *steps >= limit { StepOutcome::Truncated }",
         "if *steps >= limit { StepOutcome::Terminated }"),
    ),
    *broken("envs/src/classic/cartpole.rs", ["envs"],
        ("CartPole moves by its new velocities", "(x + SECONDS * speed, angle + SECONDS * spin)",
         "(x + SECONDS * (speed + SECONDS * moving), angle + SECONDS * (spin + SECONDS * turning))"),
    ),
    *broken("envs/src/classic/pendulum.rs", ["envs"],
        ("Pendulum pays for the speed after the step", "let cost = off * off + 0.1 * (speed * speed)",
         "let after = (speed + (PULL * sin_cos(angle).0 + PUSH * torque) * SECONDS).clamp(-SPEED_MAX, SPEED_MAX);\n"
         "        let cost = off * off + 0.1 * (after * after)"),
    ),
    *broken("envs/src/classic/acrobot.rs", ["envs"],
        ("Acrobot's third slope is taken a whole step on", "along(state, second, SECONDS / 2.0)",
         "along(state, second, SECONDS)"),
    ),
    *broken("envs/src/classic/mountain_car.rs", ["envs"],
        ("the left wall throws a car back", "if stopped { 0.0 } else { velocity }",
         "if stopped { -velocity } else { velocity }"),
        tests="--lib --tests",
    ),
    *broken("envs/src/windowed.rs", ["envs"],
        ("a window ends with the next episode's first observation", "self.push(env, Row::Final);",
         "self.push(env, Row::Present);"),
        ("a window reaches back over an end", "self.shown[row].fill(0.0);", ""),
    ),
    *broken("envs/src/trading.rs", ["envs"],
        ("an order fills at the open of the bar it was decided on", "history.open(bar + 1)", "history.open(bar)"),
        ("an order is sized by the next close", "target, history.close(bar));", "target, history.close(bar + 1));"),
        ("an observation shows the next bar", "history.window(self.bar)", "history.window(self.bar + 1)"),
        ("a trade is free of its fee", "account.book(instrument, quantity, price, fee);",
         "account.book(instrument, quantity, price, Money(0));"),
    ),
    *broken("envs/src/allocation.rs", ["envs"],
        ("weights add up to more than the largest exposure", " / gross.max(1.0);", ";"),
    ),
    *broken("envs/src/reward.rs", ["envs"],
        ("a reward is the simple return", "(after.max(Money(1)).as_f64() / before.as_f64()).ln()",
         "after.max(Money(1)).as_f64() / before.as_f64() - 1.0"),
        ("the differential Sharpe ratio adds its second term", "square * change - 0.5 * mean * square_change",
         "square * change + 0.5 * mean * square_change"),
        ("a recovery from a drawdown pays", "(drawdown(after, self.peak) - old).max(0.0)",
         "drawdown(after, self.peak) - old"),
    ),
    *broken("envs/src/schedule.rs", ["envs"],
        ("the end of the data terminates", "StepOutcome::Truncated", "StepOutcome::Terminated"),
        ("ruin truncates", "StepOutcome::Terminated", "StepOutcome::Truncated"),
    ),
    # Several symbols.
    *broken("trainer/src/algorithms/supervised/pool.rs", ["trainer"],
        ("symbols keep the embedding they begin with", "|(sum, d)| *sum += d", "|(sum, d)| *sum += 0.0 * d"),
        ("a network is handed in without its symbol's embedding", "|(bias, own)| *bias += own",
         "|(bias, own)| *bias += 0.0 * own"),
        ("a network is handed in with another symbol's embedding", "embeddings.of(0)", "embeddings.of(1)"),
        ("a symbol's first row is taken for its neighbour's", "|end| *end <= row", "|end| *end < row"),
    ),
    *broken("trainer/src/companions.rs", ["trainer"],
        ("a companion is seen behind the training split", "bar.time <= train.to", "bar.time <= spec.data.split.test.to"),
    ),
    # Rows and labels on disk.
    *broken("trainer/src/shelf.rs", ["trainer"],
        ("a window on disk begins a bar late", "self.numbers.read(self.at(bar + 1 - self.window), window, bytes)?;",
         "self.numbers.read(self.at(bar + 2 - self.window), window, bytes)?;"),
        ("validation has the labels of training on disk", "Split::Validation => self.train.end - self.train.start + row,",
         "Split::Validation => row,"),
        ("a barrier on disk is drawn by the bars of its stretch", "let first = start.saturating_sub(bars_before(task));",
         "let first = start;"),
        ("a column on disk is fitted on its blocks from their start", "let place = column * block.rows + (from - block.first);",
         "let place = column * block.rows;"),
    ),
    *broken("trainer/src/shelves.rs", ["trainer"],
        ("a companion on disk is seen behind the training split", "bar.time <= train.to", "bar.time <= spec.data.split.test.to"),
        ("features on disk stand at the end of the part before the test split", "bars.split_at(test.unwrap_or(bars.len()))",
         "bars.split_at(test.map_or(bars.len(), |_| 0))"),
    ),
    *broken("crates/neural/src/offsets.rs", ["neural"],
        ("an offset takes the place of the bias", "*sum = bias + offset", "*sum = 0.0 * bias + offset"),
        ("an offset has the gradient of its last step", "|(sum, d)| *sum += d", "|(sum, d)| *sum = *d"),
    ),
]


def misplaced(mutants):
    """What is wrong with the list itself."""
    problems = []
    for mutant in mutants:
        path = ROOT / mutant.file
        found = path.read_text(encoding="utf-8").count(mutant.before) if path.is_file() else 0
        if found != 1:
            problems.append(f"{mutant.name}: `{mutant.before}` stands {found} times in {mutant.file}, not once")
        if sum(other.name == mutant.name for other in mutants) > 1:
            problems.append(f"{mutant.name}: the name is there twice")
    return problems


def mirror():
    """Brings the copy up to date. What did not change keeps its time, so that cargo builds it once."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
                            cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    sources = {name for name in listed if name and (ROOT / name).is_file()}
    TREE.mkdir(parents=True, exist_ok=True)
    for folder, _, names in os.walk(TREE):
        for path in (Path(folder) / name for name in names):
            if path.relative_to(TREE).as_posix() not in sources:
                path.unlink()
    for name in sources:
        source, copy = ROOT / name, TREE / name
        if not copy.is_file() or not filecmp.cmp(source, copy, shallow=False):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    link = TREE / LIBTORCH.name
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(LIBTORCH, target_is_directory=True)


def test(packages, tests, which):
    """Builds and tests the copy up to the first failure; returns nextest's exit code and output."""
    command = ["cargo", "nextest", "run", "--release", "--locked", "--fail-fast", "--no-tests", "pass", "--color",
               "never", *tests.split()]
    # The same packages each time, or features would differ and dependencies be built anew.
    for package in sorted({package for mutant in MUTANTS for package in mutant.packages}):
        command += ["--package", package]
        if package not in OPTIMISED:
            command += ["--config", f"profile.release.package.{package}.opt-level=1"]
    command += ["--filterset", f"({' + '.join(f'package({package})' for package in packages)}) & {which}"]
    libraries = [str(LIBTORCH / "lib"), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    env = os.environ | {"CARGO_TARGET_DIR": str(WORK / "build"), "CARGO_INCREMENTAL": "1",
                        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
                        # A killed property leaves no case behind for the next mutant.
                        "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "1"}
    done = subprocess.run(command, cwd=TREE, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")
    return done.returncode, done.stdout


def first_failure(output):
    found = FAILURE.search(output)
    return f"{found[1]} {found[2]}" if found else "a test"


def fail(what, output=""):
    tail = "\n".join(output.splitlines()[-40:])
    sys.exit(f"{tail}\nmutants: {what}".lstrip())


def check_unbroken(mutants):
    """The sources as they are must pass every test that a mutant may be killed by."""
    for tests in sorted({mutant.tests for mutant in mutants}):
        packages = sorted({package for mutant in mutants if mutant.tests == tests for package in mutant.packages})
        code, output = test(packages, tests, "all()")
        if code == A_TEST_FAILED:
            fail(f"{first_failure(output)} fails without any mutant: put that right first", output)
        if code != ALL_PASSED:
            fail("the sources do not build and run without any mutant: put that right first", output)


def try_one(mutant):
    """`killed`, `survived` or `unbuildable`, and what shows it."""
    path = TREE / mutant.file
    original = path.read_text(encoding="utf-8")
    try:
        path.write_text(original.replace(mutant.before, mutant.after), encoding="utf-8")
        code, output = test(mutant.packages, mutant.tests, f"not test({LONG})")
        if code == ALL_PASSED:
            code, output = test(mutant.packages, mutant.tests, f"test({LONG})")
    finally:
        # Written anew, with a new time: cargo must see that it changed back.
        path.write_text(original, encoding="utf-8")
    if code == ALL_PASSED:
        return "survived", "all tests pass"
    if code == A_TEST_FAILED:
        return "killed", first_failure(output)
    if code == NOT_BUILT:
        error = re.search(r"^error.*", output, re.MULTILINE)
        return "unbuildable", error[0] if error else "it does not build"
    fail(f"nextest exited {code} on “{mutant.name}”", output)


def measure(mutants):
    """Tries all; returns the names by verdict."""
    verdicts = {"killed": [], "survived": [], "unbuildable": []}
    for index, mutant in enumerate(mutants, 1):
        began = time.monotonic()
        verdict, shown_by = try_one(mutant)
        verdicts[verdict].append(mutant.name)
        print(f"{index:3}/{len(mutants)} {verdict:11} {mutant.name}: {shown_by}, {time.monotonic() - began:.0f} s",
              file=sys.stderr, flush=True)
    return verdicts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="SUBSTRING", help="of a name or a file; may be repeated")
    parser.add_argument("--list", action="store_true", help="print the mutants and check their places")
    options = parser.parse_args()
    wanted = options.only or [""]
    mutants = [mutant for mutant in MUTANTS if any(part in mutant.name or part in mutant.file for part in wanted)]
    if not mutants:
        fail(f"no mutant's name or file holds any of {', '.join(wanted)}: see --list")
    if options.list:
        for mutant in mutants:
            print(f"{mutant.file}: {mutant.name}")
    problems = misplaced(mutants)
    if problems:
        fail("\n  ".join([f"{len(problems)} problems of the list", *problems]))
    if options.list:
        return
    if not (LIBTORCH / "lib").is_dir():
        fail("libtorch is not there: run `make libtorch`")
    mirror()
    check_unbroken(mutants)
    verdicts = measure(mutants)
    print(json.dumps({"bench": "mutants", "mutants": len(mutants), "killed": len(verdicts["killed"]),
                      "survived": verdicts["survived"], "unbuildable": verdicts["unbuildable"]}))
    sys.exit(len(verdicts["killed"]) != len(mutants))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
