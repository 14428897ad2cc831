//! Floating-point operations that an update of an algorithm needs when nothing superfluous is computed.
//!
//! A forward pass over a row takes two operations a multiply-add; a backward pass as many again for the weights and for what
//! lies below. The first layer needs nothing below it, which is neglected: layers between hidden ones dominate.

use models::{NetworkSpec, PolicyNetwork};
use neural::Layout;
use spec::{Algorithm, Bootstrap};

/// Operations of one update.
///
/// # Panics
/// Never for a network that was built: its spec is sound.
#[must_use]
pub fn update(algorithm: &Algorithm, network: &NetworkSpec, envs: usize) -> f64 {
    let mut layout = Layout::default();
    let policy = PolicyNetwork::new(&mut layout, network).expect("the network was built before");
    let [torso, head] = policy.multiply_adds().map(|count| 2.0 * count as f64);
    let actor = torso + head;
    match algorithm {
        // Policy and value function, forward and twice back.
        Algorithm::Ppo(ppo) => {
            let critic = 2.0 * policy.critic(&mut layout, "critic", 0).multiply_adds() as f64;
            let rows = f64::from(ppo.rollout) * envs as f64 / f64::from(ppo.minibatches);
            rows * 3.0 * (actor + critic)
        }
        Algorithm::Dqn(dqn) => {
            let targets = if dqn.bootstrap == Bootstrap::Double { 2.0 } else { 1.0 };
            f64::from(dqn.replay.batch) * (targets + 3.0) * actor
        }
        Algorithm::Td3(td3) => {
            let critic = 2.0 * policy.critic(&mut layout, "critic0", policy.head().size()).multiply_adds() as f64;
            let critics = actor + 2.0 * critic + 6.0 * critic + 3.0 * torso;
            let policy_step = 3.0 * head + torso + 2.0 * critic;
            f64::from(td3.replay.batch) * (critics + policy_step / f64::from(td3.policy_delay))
        }
        Algorithm::Sac(sac) => {
            let critic = 2.0 * policy.critic(&mut layout, "critic0", policy.head().size()).multiply_adds() as f64;
            let critics = actor + 2.0 * critic + 6.0 * critic + 3.0 * torso;
            let policy_step = 3.0 * head + torso + 4.0 * critic;
            f64::from(sac.replay.batch) * (critics + policy_step)
        }
    }
}
