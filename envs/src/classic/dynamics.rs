//! One lane's rules, and the loop that applies them to all lanes with the widest vectors at hand.

use pulp::Arch;

/// Lanes worked on at once: a fixed number, so that the compiler knows the length of the loop.
pub(super) const BLOCK: usize = 32;

/// Where one step took a lane.
pub(super) struct Moved<const S: usize> {
    pub(super) state: [f64; S],
    pub(super) reward: f64,
    pub(super) terminated: bool,
}

/// The rules of one problem: `S` numbers of state, `O` of observation. Free of branches, `inline(always)`.
pub(super) trait Rules<const S: usize, const O: usize> {
    /// One step. `action` is an index or a number, not yet clipped but finite.
    fn advance(state: [f64; S], action: f64) -> Moved<S>;

    /// What a state shows.
    fn observe(state: [f64; S]) -> [f32; O];

    /// The first state of an episode, from uniform draws in [0, 1).
    fn start(draws: [f64; S]) -> [f64; S];
}

/// A problem's rules by function, so that one type holds any of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dynamics {
    pub(super) state: usize,
    pub(super) observation: usize,
    pub(super) advance: fn(Arch, Step<'_>),
    pub(super) observe: fn(&[f64], &mut [f32]),
    pub(super) start: fn(&mut dyn FnMut() -> f64, &mut [f64]),
}

/// All lanes of one step. `state` is whole blocks, each `[S × BLOCK]`; `actions` whole blocks of [`BLOCK`].
pub(super) struct Step<'a> {
    pub(super) state: &'a mut [f64],
    pub(super) actions: &'a [f64],
    pub(super) rewards: &'a mut [f32],
    pub(super) terminated: &'a mut [bool],
    pub(super) observations: &'a mut [f32],
}

impl Dynamics {
    pub(super) const fn of<R: Rules<S, O>, const S: usize, const O: usize>() -> Self {
        Self {
            state: S,
            observation: O,
            advance: advance::<R, S, O>,
            observe: observe::<R, S, O>,
            start: start::<R, S, O>,
        }
    }
}

fn advance<R: Rules<S, O>, const S: usize, const O: usize>(arch: Arch, step: Step<'_>) {
    arch.dispatch(
        #[inline(always)]
        || blocks::<R, S, O>(step),
    );
}

#[inline(always)]
fn blocks<R: Rules<S, O>, const S: usize, const O: usize>(step: Step<'_>) {
    let states = step.state.as_chunks_mut::<BLOCK>().0.as_chunks_mut::<S>().0;
    let actions = step.actions.as_chunks::<BLOCK>().0;
    let results = step.rewards.chunks_mut(BLOCK).zip(step.terminated.chunks_mut(BLOCK));
    let shown = step.observations.as_chunks_mut::<O>().0.chunks_mut(BLOCK);
    for (((state, actions), (rewards, terminated)), shown) in states.iter_mut().zip(actions).zip(results).zip(shown) {
        let (mut gained, mut over) = ([0.0_f32; BLOCK], [false; BLOCK]);
        for lane in 0..BLOCK {
            let moved = R::advance(std::array::from_fn(|component| state[component][lane]), actions[lane]);
            for (lanes, value) in state.iter_mut().zip(moved.state) {
                lanes[lane] = value;
            }
            gained[lane] = moved.reward as f32;
            over[lane] = moved.terminated;
        }
        rewards.copy_from_slice(&gained[..rewards.len()]);
        terminated.copy_from_slice(&over[..terminated.len()]);
        let mut rows = [[0.0_f32; O]; BLOCK];
        for (lane, row) in rows.iter_mut().enumerate() {
            *row = R::observe(std::array::from_fn(|component| state[component][lane]));
        }
        shown.copy_from_slice(&rows[..shown.len()]);
    }
}

fn observe<R: Rules<S, O>, const S: usize, const O: usize>(state: &[f64], shown: &mut [f32]) {
    shown.copy_from_slice(&R::observe(std::array::from_fn(|component| state[component])));
}

fn start<R: Rules<S, O>, const S: usize, const O: usize>(draw: &mut dyn FnMut() -> f64, state: &mut [f64]) {
    state.copy_from_slice(&R::start(std::array::from_fn(|_| draw())));
}
