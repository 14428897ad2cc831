//! Figures of an agent's benchmark, as one object for machines.

use serde::Serialize;

use crate::agent::SeedFigures;

/// A line of `bench rl`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Always `rl`.
    pub bench: &'static str,
    /// `ppo`, `dqn`, `td3` or `sac`.
    pub algo: &'static str,
    /// Gymnasium's id.
    pub env: String,
    /// Steps of each training.
    pub steps: u64,
    /// Episodes each policy was judged on.
    pub episodes: usize,
    /// One entry a seed.
    pub seeds: Vec<Seed>,
    /// Interquartile mean over seeds of the last weights' mean return, with its 95 % bootstrap interval.
    pub iqm: Interval,
    /// The same of the best validated weights.
    pub best_iqm: Option<Interval>,
    /// Environment steps over CPU seconds, once learning has begun.
    pub steps_per_cpu_s: f64,
    /// The same over wall seconds.
    pub steps_per_wall_s: f64,
    /// Updates of the weights over CPU seconds, once learning has begun.
    pub updates_per_cpu_s: f64,
    /// Operations that an update needs.
    pub flops_per_update: f64,
    /// Operations needed over CPU seconds, acting left out.
    pub gflops: f64,
    /// What one core multiplies at best.
    pub gemm_peak_gflops: f64,
    /// Milliseconds of an update if all of it went at that peak.
    pub update_ms_at_peak: f64,
}

/// One seed of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Seed {
    /// Which.
    pub seed: u64,
    /// Mean return of the last weights.
    pub return_mean: f64,
    /// Deviation of that over episodes.
    pub return_std: f64,
    /// Mean return of the best validated weights.
    pub best_return_mean: Option<f64>,
    /// Mean of optimum − return.
    pub regret: Option<f64>,
    /// The same of the best validated weights.
    pub best_regret: Option<f64>,
    /// Seconds of training.
    pub wall_s: f64,
    /// CPU seconds of training.
    pub cpu_s: f64,
    /// CPU seconds since learning began.
    pub cpu_s_learning: f64,
    /// Environment steps since then.
    pub steps_learning: u64,
    /// Actions outside the space, taken as the nearest inside.
    pub clamped_actions: u64,
    /// SHA-256 of the last weights.
    pub weights: String,
}

/// A mean with a 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The figure.
    pub value: f64,
    /// 2.5 % point.
    pub low: f64,
    /// 97.5 % point.
    pub high: f64,
}

/// What all seeds come to.
///
/// # Panics
/// Without a seed: a caller's bug.
#[must_use]
pub fn figures((algo, env, steps): (&'static str, &str, u64), runs: &[SeedFigures], peak: f64) -> Figures {
    assert!(!runs.is_empty(), "a benchmark has a seed");
    let cpu: f64 = runs.iter().map(|run| run.learning.cpu_s).sum();
    let wall: f64 = runs.iter().map(|run| run.learning.wall_s).sum();
    let learned: u64 = runs.iter().map(|run| run.steps_learning).sum();
    let updates: u64 = runs.iter().map(|run| run.updates).sum();
    let flops = runs[0].flops_per_update;
    let last: Vec<f64> = runs.iter().map(|run| mean(&run.last)).collect();
    let best: Option<Vec<f64>> = runs.iter().map(|run| run.best.as_deref().map(mean)).collect();
    Figures {
        bench: "rl",
        algo,
        env: env.to_owned(),
        steps,
        episodes: runs[0].last.len(),
        seeds: runs.iter().map(seed).collect(),
        iqm: interval(&last),
        best_iqm: best.as_deref().map(interval),
        steps_per_cpu_s: learned as f64 / cpu,
        steps_per_wall_s: learned as f64 / wall,
        updates_per_cpu_s: updates as f64 / cpu,
        flops_per_update: flops,
        gflops: flops * updates as f64 / cpu / 1e9,
        gemm_peak_gflops: peak,
        update_ms_at_peak: flops / peak / 1e6,
    }
}

fn seed(run: &SeedFigures) -> Seed {
    Seed {
        seed: run.seed,
        return_mean: mean(&run.last),
        return_std: deviation(&run.last),
        best_return_mean: run.best.as_deref().map(mean),
        regret: run.regret,
        best_regret: run.best_regret,
        wall_s: run.elapsed.wall_s,
        cpu_s: run.elapsed.cpu_s,
        cpu_s_learning: run.learning.cpu_s,
        steps_learning: run.steps_learning,
        clamped_actions: run.clamped,
        weights: run.weights.to_string(),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let middle = mean(values);
    (values.iter().map(|value| (value - middle).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Draws of the bootstrap.
const RESAMPLES: u64 = 2_000;

/// Interquartile mean with its percentile bootstrap over seeds (Agarwal et al. 2021).
fn interval(values: &[f64]) -> Interval {
    let mut draws: Vec<f64> = (0..RESAMPLES)
        .map(|draw| {
            let pick = |index: usize| {
                let hash = mix(draw * 0x1_0000 + index as u64);
                values[((u128::from(hash) * values.len() as u128) >> 64) as usize]
            };
            interquartile_mean(&(0..values.len()).map(pick).collect::<Vec<_>>())
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| draws[(share * (draws.len() - 1) as f64).round() as usize];
    Interval { value: interquartile_mean(values), low: at(0.025), high: at(0.975) }
}

/// Mean of the middle half; values at its edges count by the share of them inside.
fn interquartile_mean(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.len() as f64 * 0.25, sorted.len() as f64 * 0.75);
    let weight = |index: usize| ((index as f64 + 1.0).min(high) - (index as f64).max(low)).max(0.0);
    let sum: f64 = sorted.iter().enumerate().map(|(index, value)| weight(index) * value).sum();
    sum / (high - low)
}

const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interquartile_mean_leaves_out_the_outer_quarters() {
        assert_eq!(interquartile_mean(&[1.0, 2.0, 3.0, 1000.0]), 2.5);
        assert_eq!(interquartile_mean(&[7.0]), 7.0);
        // Of ten, the middle five: half of the third and of the eighth, and the four between.
        let ten: Vec<f64> = (0..10).map(f64::from).collect();
        assert!((interquartile_mean(&ten) - 4.5).abs() < 1e-12);
    }

    #[test]
    fn an_interval_holds_its_figure_and_shrinks_to_a_constant() {
        let spread = interval(&[1.0, 5.0, 2.0, 8.0, 3.0]);
        assert!(spread.low <= spread.value && spread.value <= spread.high && spread.low < spread.high);
        let still = interval(&[4.0; 6]);
        assert_eq!((still.low, still.value, still.high), (4.0, 4.0, 4.0));
    }
}
