//! What is said of specs that read but cannot run.

use expect_test::{Expect, expect};

use crate::sample::{POLICY, facts, parsed, said, said_on};
use crate::{ActionMode, Device, EnvSpec, Facts, check, parse, resolve};

mod companions;
mod encoder;
mod folds;
mod forecast;
mod resources;

fn told(edits: &[(&str, &str)], expected: Expect) {
    expected.assert_eq(&said(edits));
}

/// The policy sample with one more edit.
fn policy_told(edit: (&str, &str), expected: Expect) {
    expected.assert_eq(&said(&[POLICY[0], POLICY[1], edit]));
}

const SPACE: &str = "task.supervised.learning_rate: { log_uniform: [0.0001, 0.01] }";

fn space_told(space: &str, expected: Expect) {
    told(&[(SPACE, space)], expected);
}

#[test]
fn both_samples_can_start() {
    assert_eq!(said(&[]), "");
    assert_eq!(said(&[POLICY[0], POLICY[1], ("resources:", "env: { episode_bars: 64 }\nresources:")]), "");
    for env in ["reward: log_return", "reward: { differential_sharpe: { rate: 0.01 } }", "action: continuous"] {
        assert_eq!(said(&[("resources:", &format!("env: {{ {env} }}\nresources:"))]), "", "{env}");
    }
}

#[test]
fn a_discrete_action_is_left_out_of_what_is_hashed_and_a_continuous_one_is_not() {
    let written = |action: ActionMode| {
        let env = EnvSpec { action, ..EnvSpec::default() };
        let text = serde_json::to_string(&env).unwrap();
        assert_eq!(serde_json::from_str::<EnvSpec>(&text).unwrap(), env);
        text.contains("action")
    };
    assert_eq!([ActionMode::Discrete, ActionMode::Continuous].map(written), [false, true]);
}

#[test]
fn numbers_of_a_forecast_out_of_range_are_told_together() {
    told(
        &[(
            "window: 16, horizon: 5, epochs: 2, learning_rate: 0.001",
            "window: 1, horizon: 5, flat_band: 3.5, epochs: 0, batch: 1, learning_rate: 0, weight_decay: 2, \
             return_weight: -1, gradient_norm_max: 0, patience: 0",
        )],
        expect![[r#"
            a.yaml:16:25: `task.supervised.window` is 1, that is out of range, use 2 to 512
            a.yaml:16:51: `task.supervised.flat_band` is 3.5, that is out of range, use 0 to 3
            a.yaml:16:64: `task.supervised.epochs` is 0, that is out of range, use 1 to 10000
            a.yaml:16:74: `task.supervised.batch` is 1, that is out of range, use 2 to 65536
            a.yaml:16:92: `task.supervised.learning_rate` is 0, that is out of range, use a number above 0, at most 1
            a.yaml:16:109: `task.supervised.weight_decay` is 2, that is out of range, use 0 to 1
            a.yaml:16:127: `task.supervised.return_weight` is -1, that is out of range, use 0 to 100
            a.yaml:16:150: `task.supervised.gradient_norm_max` is 0, that is out of range, use a number above 0
            a.yaml:16:163: `task.supervised.patience` is 0, that is out of range, use 1 to 10000
        "#]],
    );
}

#[test]
fn numbers_of_a_policy_out_of_range_are_told_together() {
    policy_told(
        (
            "window: 4, steps: 5000, algorithm: { ppo: { learning_rate: 0.001 } }",
            "window: 0, steps: 0, algorithm: { ppo: { learning_rate: 2, envs: 0, rollout: 1, epochs: 0, \
             minibatches: 5, gamma: 1.5, lambda: -1, clip: 1, entropy: 2, value: -1, gradient_norm_max: 0, \
             target_kl: 0 } }",
        ),
        expect![[r#"
            a.yaml:8:12: `train` has 143 rows, 253 are needed after 34 bars of warm-up, a window of 0, purge 5 and embargo 0, lengthen it, or shorten window, features or episodes
            a.yaml:16:17: `task.rl.window` is 0, that is out of range, use 1 to 512
            a.yaml:16:27: `task.rl.steps` is 0, that is out of range, use 1 to 10000000000
            a.yaml:16:65: `task.rl.algorithm.ppo.learning_rate` is 2, that is out of range, use a number above 0, at most 1
            a.yaml:16:74: `task.rl.algorithm.ppo.envs` is 0, that is out of range, use 1 to 65536
            a.yaml:16:86: `task.rl.algorithm.ppo.rollout` is 1, that is out of range, use 2 to 65536
            a.yaml:16:97: `task.rl.algorithm.ppo.epochs` is 0, that is out of range, use 1 to 1000
            a.yaml:16:113: 5 mini-batches, some would hold no step, use at most 0, `envs` times `rollout`
            a.yaml:16:123: `task.rl.algorithm.ppo.gamma` is 1.5, that is out of range, use 0 to 1
            a.yaml:16:136: `task.rl.algorithm.ppo.lambda` is -1, that is out of range, use 0 to 1
            a.yaml:16:146: `task.rl.algorithm.ppo.clip` is 1, that is out of range, use a number above 0 and below 1
            a.yaml:16:158: `task.rl.algorithm.ppo.entropy` is 2, that is out of range, use 0 to 1
            a.yaml:16:168: `task.rl.algorithm.ppo.value` is -1, that is out of range, use 0 to 100
            a.yaml:16:191: `task.rl.algorithm.ppo.gradient_norm_max` is 0, that is out of range, use a number above 0
            a.yaml:16:205: `task.rl.algorithm.ppo.target_kl` is 0, that is out of range, use a number above 0
        "#]],
    );
}

#[test]
fn networks_out_of_range_are_told() {
    let network = "cnn_lstm: { channels: 8, hidden: 8, dropout: 0 }";
    told(
        &[(network, "cnn_lstm: { channels: 0, hidden: 2000, kernel: 4, layers: 4, dropout: 1 }")],
        expect![[r#"
        a.yaml:18:25: `model.cnn_lstm.channels` is 0, that is out of range, use 1 to 1024
        a.yaml:18:36: `model.cnn_lstm.hidden` is 2000, that is out of range, use 1 to 1024
        a.yaml:18:50: kernel 4 is even, an even kernel has no middle bar, use an odd width, such as 3
        a.yaml:18:61: `model.cnn_lstm.layers` is 4, that is out of range, use 1 to 3
        a.yaml:18:73: `model.cnn_lstm.dropout` is 1, that is out of range, use a number from 0 to below 1
    "#]],
    );
    told(
        &[(network, "mlp: { hidden: [] }")],
        expect![[r#"
        a.yaml:18:18: 0 layers, that is out of range, list the units of 1 to 8 layers
    "#]],
    );
    told(
        &[(network, "mlp: { hidden: [64, 0] }")],
        expect![[r#"
        a.yaml:18:23: `model.mlp.hidden.1` is 0, that is out of range, use 1 to 4096
    "#]],
    );
}

#[test]
fn features_that_cannot_be_computed_are_told() {
    told(
        &[(
            "- log_return: { bars: 1 }\n  - macd: { fast: 12, slow: 26, signal: 9 }",
            "- log_return: { bars: 0 }\n  - macd: { fast: 26, slow: 12, signal: 9 }\n  - rsi: { bars: 1 }\n  \
             - bollinger: { bars: 20, width: 0 }\n  - atr: { bars: 1001 }\n  - volume_z: { bars: 1 }\n  \
             - realised_volatility: { bars: 1 }\n  - atr: { bars: 14 }\n  - atr: { bars: 14 }",
        )],
        expect![[r#"
            a.yaml:13:25: `features.0.log_return.bars` is 0, that is out of range, use 1 to 1000
            a.yaml:14:19: `fast` is 26 and `slow` 12, `fast` is the shorter of the two, use a `fast` below `slow`
            a.yaml:15:18: `features.2.rsi.bars` is 1, that is out of range, use 2 to 1000
            a.yaml:16:35: `features.3.bollinger.width` is 0, that is out of range, use a number above 0
            a.yaml:17:18: `features.4.atr.bars` is 1001, that is out of range, use 1 to 1000
            a.yaml:18:23: `features.5.volume_z.bars` is 1, that is out of range, use 2 to 1000
            a.yaml:19:34: `features.6.realised_volatility.bars` is 1, that is out of range, use 2 to 1000
            a.yaml:21:5: a repeated feature, the same column twice teaches nothing, remove one of `features.7` and `features.8`
        "#]],
    );
    told(
        &[("features:\n  - log_return: { bars: 1 }\n  - macd: { fast: 12, slow: 26, signal: 9 }", "features: []")],
        expect![[r#"
            a.yaml:12:11: no feature, a network needs something to see, add `- log_return: { bars: 1 }`
        "#]],
    );
}

#[test]
fn market_strategy_and_the_rest_out_of_range_are_told() {
    told(
        &[(
            "resources: {",
            "env: { cash: 0, exposure_max_bps: 0, episode_bars: 1, costs: { commission_bps: -1, half_spread_bps: 10001 } }\n\
             strategy: { edge_min: 2, exposure_bps: 0 }\nretry: { attempts: 0, backoff: 6m }\ntimeout: 0s\n\
             promote: { model: sample, gates: { deflated_sharpe_min: 1.5 } }\nresources: {",
        )],
        expect![[r#"
            a.yaml:25:14: `env.cash` is 0, that is out of range, use 1 to 1000000000
            a.yaml:25:35: `env.exposure_max_bps` is 0, that is out of range, use 1 to 50000
            a.yaml:25:52: `env.episode_bars` is 1, that is out of range, use 2 to 100000
            a.yaml:25:80: `env.costs.commission_bps` is -1, that is out of range, use 0 to 10000
            a.yaml:25:101: `env.costs.half_spread_bps` is 10001, that is out of range, use 0 to 10000
            a.yaml:26:23: `strategy.edge_min` is 2, that is out of range, use 0 to 1
            a.yaml:26:40: `strategy.exposure_bps` is 0, that is out of range, use 1 to 50000
            a.yaml:27:20: `retry.attempts` is 0, that is out of range, use 1 to 100
            a.yaml:27:32: `retry.backoff` is 6m, that is out of range, use at most 5m
            a.yaml:28:10: `timeout` is 0s, that is out of range, use 1s or more
            a.yaml:29:57: `promote.gates.deflated_sharpe_min` is 1.5, that is out of range, use 0 to 1
        "#]],
    );
    told(
        &[("resources: {", "env: { reward: { differential_sharpe: { rate: 0 } } }\nresources: {")],
        expect![[r#"
            a.yaml:25:47: `env.reward.differential_sharpe.rate` is 0, that is out of range, use a number above 0, at most 1
        "#]],
    );
    told(
        &[("resources: {", "env: { reward: { drawdown_penalised: { weight: -1 } } }\nresources: {")],
        expect![[r#"
            a.yaml:25:48: `env.reward.drawdown_penalised.weight` is -1, that is out of range, use 0 to 1000
        "#]],
    );
    told(
        &[("source: aapl_daily", "source: ''")],
        expect![[r#"
        a.yaml:4:11: `data.source` is empty, the bars come from there, name an imported data set
    "#]],
    );
}

#[test]
fn a_source_that_leaves_the_data_folder_is_told() {
    for source in ["/etc/passwd", "../other.parquet", "below/../../other.parquet", "./aapl.parquet", "s3://a/b"] {
        let said = said(&[("source: aapl_daily", &format!("source: '{source}'"))]);
        let told = format!("a.yaml:4:11: `data.source` is `{source}`, a spec reads below HOME/data alone");
        assert!(said.starts_with(&told), "{said}");
    }
    assert_eq!(said(&[("source: aapl_daily", "source: shares/aapl_daily.parquet")]), "");
}

#[test]
fn a_sweep_that_is_a_bomb_is_told_before_its_values_are_tried() {
    let dimension = |index| format!("task.supervised.a{index}: {{ integer: [1, 200] }}");
    let dimensions: Vec<String> = (0..200).map(dimension).collect();
    let said_of = |from: &str, to: &str| said(&[(from, to)]);
    let space = said_of(SPACE, &dimensions.join("\n    "));
    assert!(space.contains("200 dimensions, that is out of range, use at most 128"), "{space}");
    for (trials, told) in [("0", "`sweep.trials` is 0"), ("1000000000", "`sweep.trials` is 1000000000")] {
        let said = said_of("trials: 4", &format!("trials: {trials}"));
        assert!(said.contains(told), "{said}");
    }
}

#[test]
fn symbols_that_the_data_lack_are_told() {
    told(
        &[("[AAPL]", "[APPL]")],
        expect![[r#"
        a.yaml:5:13: unknown symbol `APPL`, `aapl_daily` has no bars of it, did you mean `AAPL`?
    "#]],
    );
    told(
        &[("[AAPL]", "[]")],
        expect![[r#"
        a.yaml:5:12: no symbol, a trial trades one, write `symbols: [AAPL]`
    "#]],
    );
    told(
        &[("[AAPL]", "[AAPL, APPL, AAPL]")],
        expect![[r#"
            a.yaml:5:19: unknown symbol `APPL`, `aapl_daily` has no bars of it, did you mean `AAPL`?
            a.yaml:5:25: a repeated symbol, the same rows twice teach nothing, remove one of `data.symbols.0` and `data.symbols.2`
        "#]],
    );
}

#[test]
fn splits_out_of_order_overlapping_or_outside_the_data_are_told() {
    told(
        &[("validation: [2020-07-01, 2020-09-30]", "validation: [2020-06-15, 2020-09-30]")],
        expect![[r#"
        a.yaml:9:17: `validation` starts 2020-06-15T00:00:00Z and `train` ends 2020-06-30T00:00:00Z, splits follow each other without overlap, start `validation` after 2020-06-30
    "#]],
    );
    told(
        &[("validation: [2020-07-01, 2020-09-30]", "validation: [2020-09-30, 2020-07-01]")],
        expect![[r#"
            a.yaml:9:17: `validation` ends 2020-07-01T00:00:00Z before it starts 2020-09-30T00:00:00Z, a split runs forward, swap the two dates
        "#]],
    );
    told(
        &[("[2020-01-01, 2020-06-30]", "[2019-01-01, 2020-06-30]")],
        expect![[r#"
        a.yaml:8:13: 2019-01-01 lies outside the data, bars run from 2020-01-01 to 2020-12-31, use a date within the data
    "#]],
    );
    told(
        &[("2020-12-31]", "2021-03-31]")],
        expect![[r#"
        a.yaml:10:24: 2021-03-31 lies outside the data, bars run from 2020-01-01 to 2020-12-31, use a date within the data
    "#]],
    );
}

#[test]
fn a_purge_shorter_than_the_horizon_is_told_and_none_is_filled_in() {
    told(
        &[("purge: 5", "purge: 4")],
        expect![[r#"
        a.yaml:11:12: `purge` is 4, rows look 5 bars ahead, into the next split, use 5 or more, or leave it out
    "#]],
    );
    let purge = |edits: &[(&str, &str)]| {
        let (spec, positions) = parsed(edits);
        resolve(&spec, &positions, &facts()).data.split.purge
    };
    assert_eq!(said(&[("    purge: 5\n", "")]), "");
    assert_eq!(purge(&[("    purge: 5\n", "")]), 5);
    assert_eq!(purge(&[("purge: 5", "purge: 9")]), 9);
    let swept = (SPACE, "task.supervised.horizon: { choice: [1, 10] }");
    assert_eq!(purge(&[("    purge: 5\n", ""), swept]), 10);
    told(
        &[swept],
        expect![[r#"
        a.yaml:11:12: `purge` is 5, rows look 10 bars ahead, into the next split, use 10 or more, or leave it out
    "#]],
    );
}

#[test]
fn splits_with_too_few_bars_are_told() {
    told(
        &[("validation: [2020-07-01, 2020-09-30]", "validation: [2020-07-01, 2020-07-07]")],
        expect![[r#"
        a.yaml:9:17: `validation` has 2 rows, 3 are needed after 34 bars of warm-up, a window of 16, purge 5 and embargo 0, lengthen it, or shorten window, features or episodes
    "#]],
    );
    policy_told(
        ("resources:", "env: { episode_bars: 200 }\nresources:"),
        expect![[r#"
        a.yaml:8:12: `train` has 140 rows, 201 are needed after 34 bars of warm-up, a window of 4, purge 5 and embargo 0, lengthen it, or shorten window, features or episodes
    "#]],
    );
}

#[test]
fn resources_that_the_machine_lacks_are_told() {
    let resources = "{ device: cpu, cpus: 1 }";
    told(
        &[(resources, "{ cpus: 3, processes: 2 }")],
        expect![[r#"
        a.yaml:25:20: 3 CPU cores, this machine gives 1 to 2, ask for as many as there are
        a.yaml:25:34: 2 processes, the local engine runs a trial in one process, use 1
    "#]],
    );
    told(
        &[(resources, "{ cpus: 0 }")],
        expect![[r#"
        a.yaml:25:20: 0 CPU cores, this machine gives 1 to 2, ask for as many as there are
    "#]],
    );
    told(
        &[(resources, "{ device: cuda }")],
        expect![[r#"
        a.yaml:25:22: a CUDA device, this machine or this build has none, use `cpu`, or `auto` to take what is there
    "#]],
    );
    told(
        &[(resources, "{ device: cpu, gpus: 1 }")],
        expect![[r#"
        a.yaml:25:33: 1 GPUs, a trial on the CPU uses none, use 0, or `device: cuda`
    "#]],
    );
    let one_gpu = Facts { gpus: 1, ..facts() };
    expect![[r#"
        a.yaml:25:34: 2 GPUs, this machine has 1, ask for as many as there are
    "#]]
    .assert_eq(&said_on(&[(resources, "{ device: cuda, gpus: 2 }")], &one_gpu));
    assert_eq!(said_on(&[(resources, "{ device: cuda }")], &one_gpu), "");
}

#[test]
fn auto_takes_the_device_that_is_there() {
    let (spec, positions) = parsed(&[("device: cpu", "device: auto, gpus: 1")]);
    let on = |gpus| resolve(&spec, &positions, &Facts { gpus, ..facts() }).resources;
    assert_eq!((on(0).device, on(0).gpus), (Device::Cpu, 0));
    assert_eq!((on(1).device, on(1).gpus), (Device::Cuda, 1));
}

#[test]
fn resolving_twice_changes_nothing_more() {
    for edits in
        [vec![], vec![("    purge: 5\n", ""), ("device: cpu", "device: auto")], vec![("trials: 4", "trials: 2")]]
    {
        let (spec, positions) = parsed(&edits);
        let once = resolve(&spec, &positions, &facts());
        assert_eq!(resolve(&once, &positions, &facts()), once);
    }
}

#[test]
fn a_sweep_that_contradicts_itself_is_told() {
    told(
        &[("trials: 4", "trials: 4\n  batch: 5")],
        expect![[r#"
        a.yaml:21:10: `sweep.batch` is 5, that is out of range, use 1 to 4
    "#]],
    );
    told(
        &[("trials: 4", "trials: 0\n  parallel: 0\n  seeds: [1, 1, 9007199254740993]")],
        expect![[r#"
        a.yaml:20:11: `sweep.trials` is 0, that is out of range, use 1 to 100000
        a.yaml:21:13: `sweep.parallel` is 0, nothing would run, use 1 or more, or leave it out
        a.yaml:22:14: seed 1 is repeated, it would give the same trial, use each seed once
        a.yaml:22:17: `sweep.seeds.2` is 9007199254740993, that is out of range, use 0 to 9007199254740992
    "#]],
    );
    told(
        &[("trials: 4", "trials: 4\n  seeds: []")],
        expect![[r#"
        a.yaml:21:10: no seed, each point is trained once per seed, write `seeds: [1]`
    "#]],
    );
    told(
        &[("direction: maximise", "direction: minimise")],
        expect![[r#"
        a.yaml:22:14: `validation_sharpe` with the worse end as the better, the worst trial would win, use `maximise`
    "#]],
    );
    told(
        &[("objective: validation_sharpe", "objective: validation_loss")],
        expect![[r#"
        a.yaml:22:14: `validation_loss` with the worse end as the better, the worst trial would win, use `minimise`
    "#]],
    );
    told(
        &[(&format!("  space:\n    {SPACE}\n"), "")],
        expect![[r#"
        a.yaml:20:11: 4 trials of one point, `sweep.space` is empty, so they differ in nothing, use 1, add a dimension, or list more `seeds`
    "#]],
    );
    policy_told(
        (
            "objective: validation_sharpe\n  direction: maximise",
            "objective: validation_loss\n  direction: minimise\n  parallel: 1",
        ),
        expect![[r#"
            a.yaml:8:12: `train` has 140 rows, 253 are needed after 34 bars of warm-up, a window of 4, purge 5 and embargo 0, lengthen it, or shorten window, features or episodes
            a.yaml:21:14: `validation_loss` of a policy, a policy has no loss on validation bars, use `validation_sharpe` or `validation_return`
        "#]],
    );
}

#[test]
fn a_batch_that_the_file_does_not_name_shrinks_to_the_trials() {
    let (spec, positions) = parsed(&[("trials: 4", "trials: 2")]);
    assert_eq!(said(&[("trials: 4", "trials: 2")]), "");
    assert_eq!(resolve(&spec, &positions, &facts()).sweep.batch, 2);
}

#[test]
fn a_dimension_that_leads_nowhere_is_told_with_its_nearest_match() {
    space_told(
        "task.supervised.learning_rte: { log_uniform: [0.0001, 0.01] }",
        expect![[r#"
        a.yaml:24:5: no `task.supervised.learning_rte`, a trial of this experiment has no such value, did you mean `task.supervised.learning_rate`?
    "#]],
    );
    space_told(
        "task.rl.window: { choice: [4, 8] }",
        expect![[r#"
        a.yaml:24:5: no `task.rl.window`, a trial of this experiment has no such value, did you mean `task.supervised.window`?
    "#]],
    );
    space_told(
        "features.7.log_return.bars: { choice: [1, 2] }",
        expect![[r#"
        a.yaml:24:5: no `features.7.log_return.bars`, a trial of this experiment has no such value, did you mean `features.0.log_return.bars`?
    "#]],
    );
    space_told(
        "env.costs.comission_bps: { choice: [0, 2] }",
        expect![[r#"
        a.yaml:24:5: no `env.costs.comission_bps`, a trial of this experiment has no such value, did you mean `env.costs.commission_bps`?
    "#]],
    );
    space_told(
        "resources.cpus: { choice: [1, 2] }",
        expect![[r#"
        a.yaml:24:5: `resources.cpus` cannot be swept, it has to be the same in all trials, sweep a value below `features`, `task`, `model`, `env`, `strategy`
    "#]],
    );
    space_told(
        "data.split.purge: { choice: [5, 6] }",
        expect![[r#"
        a.yaml:24:5: `data.split.purge` cannot be swept, it has to be the same in all trials, sweep a value below `features`, `task`, `model`, `env`, `strategy`
    "#]],
    );
}

#[test]
fn a_dimension_whose_values_do_not_fit_is_told() {
    space_told(
        "task.supervised.window: { uniform: [8, 16] }",
        expect![[r#"
        a.yaml:24:29: found the number `8.0`, `task.supervised.window` is of another kind (trying 8.0), write a whole number, 0 or more, without a decimal point
    "#]],
    );
    space_told(
        "task.supervised.learning_rate: { uniform: [0.1, 1.5] }",
        expect![[r#"
        a.yaml:24:36: `task.supervised.learning_rate` is 1.5, that is out of range (trying 1.5), use a number above 0, at most 1
    "#]],
    );
    space_told(
        "model.cnn_lstm.kernel: { integer: [3, 5] }",
        expect![[r#"
        a.yaml:24:28: kernel 4 is even, an even kernel has no middle bar (trying 4), use an odd width, such as 3
    "#]],
    );
    space_told(
        "model.cnn_lstm.dropout: { choice: [0.1, high] }",
        expect![[r#"
        a.yaml:24:29: found the text "high", `model.cnn_lstm.dropout` is of another kind (trying "high"), write a number
    "#]],
    );
    space_told(
        "features.1.macd.fast: { choice: [8, 30] }",
        expect![[r#"
        a.yaml:24:27: `fast` is 30 and `slow` 26, `fast` is the shorter of the two (trying 30), use a `fast` below `slow`
    "#]],
    );
    space_told(
        "task.supervised.window: { choice: [16, 256] }",
        expect![[r#"
        a.yaml:24:29: `train` has 0 rows, 3 are needed after 34 bars of warm-up, a window of 256, purge 5 and embargo 0 (trying 256), lengthen it, or shorten window, features or episodes
    "#]],
    );
}

#[test]
fn a_dimension_without_room_is_told() {
    space_told(
        "task.supervised.learning_rate: { log_uniform: [0, 0.01] }",
        expect![[r#"
        a.yaml:24:36: low is 0, the logarithm starts above 0, use a `low` above 0, or `uniform`
    "#]],
    );
    space_told(
        "task.supervised.learning_rate: { uniform: [0.1, 0.01] }",
        expect![[r#"
        a.yaml:24:36: low 0.1 is not below high 0.01, nothing lies between, swap or widen them
    "#]],
    );
    space_told(
        "task.supervised.epochs: { integer: [3, 3] }",
        expect![[r#"
        a.yaml:24:29: low 3 is not below high 3, nothing lies between, swap or widen them
    "#]],
    );
    space_told(
        "task.supervised.epochs: { choice: [] }",
        expect![[r#"
        a.yaml:24:29: an empty choice, there is nothing to draw, list at least one value
    "#]],
    );
    space_told(
        "task.supervised.epochs: { choice: [1, 2, 1] }",
        expect![[r#"
        a.yaml:24:29: 1 is repeated, it would be tried twice as the same point, list each value once
    "#]],
    );
}

#[test]
fn a_grid_of_ranges_or_too_few_points_is_told() {
    told(
        &[("trials: 4", "trials: 4\n  sampler: grid")],
        expect![[r#"
        a.yaml:25:36: `task.supervised.learning_rate` is a range, a grid needs the values of each dimension, use `choice: [...]`, or the sampler `random`
    "#]],
    );
    told(
        &[("trials: 4", "trials: 4\n  sampler: grid"), (SPACE, "model.cnn_lstm.hidden: { choice: [4, 8, 16] }")],
        expect![[r#"
            a.yaml:20:11: 4 trials, the grid has 3 points, use 3
        "#]],
    );
}

#[test]
fn a_spec_without_its_data_is_checked_in_all_else() {
    let without = Facts { data: None, ..facts() };
    assert_eq!(said_on(&[("[AAPL]", "[ZZZZ]")], &without), "");
    expect![[r#"
        a.yaml:11:12: `purge` is 1, rows look 5 bars ahead, into the next split, use 5 or more, or leave it out
    "#]]
    .assert_eq(&said_on(&[("[AAPL]", "[ZZZZ]"), ("purge: 5", "purge: 1")], &without));
}

#[test]
fn every_shipped_experiment_parses_fits_the_schema_and_can_start() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments");
    let schema = crate::schema();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        seen += 1;
        let name = path.file_name().unwrap().to_string_lossy();
        let text = std::fs::read_to_string(&path).unwrap();
        let (spec, positions) = parse(&name, &text).unwrap();
        assert_eq!(check(&spec, &positions, &Facts { data: None, ..facts() }), [], "{name}");
        let (value, _) = crate::yaml::read(&name, &text).unwrap();
        crate::schema::tests::fits(&schema, &schema, &value, &name);
    }
    assert!(seen >= 2, "{folder} holds no experiments");
}
