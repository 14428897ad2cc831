//! Copies of one environment and the arrays that a step writes. The arrays are made once; Python is shown the same memory
//! after every step.

use envs::probe::{Kind, Probe};
use envs::{ActionSpace, Actions, Autoreset, Classic, ClassicKind, StepBuffers, StepOutcome, VectorEnv};
use numpy::{PyArray1, PyArray2, PyArrayMethods as _, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::types::PyAnyMethods as _;
use pyo3::{Bound, Py, PyAny, PyResult, Python, pyclass, pyfunction, pymethods};
use serde::de::IntoDeserializer as _;

use crate::refused;

/// Environments side by side.
///
/// # Shapes
/// `observations` and `final_observations`: `[num_envs, width]`; the others: `[num_envs]`.
#[pyclass(module = "tradewind_envs._native")]
pub(crate) struct Copies {
    env: Box<dyn VectorEnv + Sync>,
    outcomes: Vec<StepOutcome>,
    /// Discrete actions of the present step.
    chosen: Vec<u32>,
    arrays: Arrays,
}

/// Written by each step, read by Python.
struct Arrays {
    observations: Py<PyArray2<f32>>,
    rewards: Py<PyArray1<f32>>,
    terminated: Py<PyArray1<bool>>,
    truncated: Py<PyArray1<bool>>,
    final_observations: Py<PyArray2<f32>>,
}

impl Copies {
    pub(crate) fn new(py: Python<'_>, env: Box<dyn VectorEnv + Sync>) -> Self {
        let (envs, width) = (env.envs(), env.observation_width());
        let flags = || PyArray1::zeros(py, envs, false).unbind();
        let arrays = Arrays {
            observations: PyArray2::zeros(py, [envs, width], false).unbind(),
            rewards: PyArray1::zeros(py, envs, false).unbind(),
            terminated: flags(),
            truncated: flags(),
            final_observations: PyArray2::zeros(py, [envs, width], false).unbind(),
        };
        Self { outcomes: vec![StepOutcome::Continues; envs], chosen: Vec::with_capacity(envs), env, arrays }
    }

    /// Takes over discrete actions, each of which must be one of `actions`.
    fn choose(&mut self, given: &Bound<'_, PyAny>, actions: usize) -> PyResult<()> {
        let given: PyReadonlyArray1<'_, i64> = given.extract().map_err(|_| shape("int64", "[num_envs]"))?;
        let given = given.as_array();
        if given.len() != self.outcomes.len() {
            return Err(shape("int64", "[num_envs]"));
        }
        self.chosen.clear();
        for (copy, action) in given.iter().enumerate() {
            let inside = u32::try_from(*action).ok().filter(|action| (*action as usize) < actions);
            let outside = || PyValueError::new_err(format!("action {action} of copy {copy} is not below {actions}"));
            self.chosen.push(inside.ok_or_else(outside)?);
        }
        Ok(())
    }

    /// Writes the flags of the outcomes; true when an episode ended.
    fn flag(&self, py: Python<'_>) -> PyResult<bool> {
        let mut terminated = self.arrays.terminated.bind(py).try_readwrite()?;
        let mut truncated = self.arrays.truncated.bind(py).try_readwrite()?;
        let flags = terminated.as_slice_mut()?.iter_mut().zip(truncated.as_slice_mut()?);
        let mut ended = false;
        for ((terminated, truncated), outcome) in flags.zip(&self.outcomes) {
            *terminated = *outcome == StepOutcome::Terminated;
            *truncated = *outcome == StepOutcome::Truncated;
            ended |= outcome.is_end();
        }
        Ok(ended)
    }
}

#[pymethods]
impl Copies {
    /// How many.
    #[getter]
    fn num_envs(&self) -> usize {
        self.env.envs()
    }

    /// Values in one observation.
    #[getter]
    fn observation_width(&self) -> usize {
        self.env.observation_width()
    }

    /// Actions where they are discrete, else `None`.
    #[getter]
    fn actions(&self) -> Option<usize> {
        self.env.action_space().actions()
    }

    /// Least and largest value of each component of an action, where actions are vectors, else `None`.
    #[getter]
    fn action_bounds(&self) -> Option<(Vec<f32>, Vec<f32>)> {
        match self.env.action_space() {
            ActionSpace::Discrete(_) => None,
            ActionSpace::Continuous(bounds) => Some((bounds.low().to_vec(), bounds.high().to_vec())),
        }
    }

    /// True when the episode after an end begins in the step after it, false when in the same.
    #[getter]
    fn resets_next_step(&self) -> bool {
        self.env.autoreset() == Autoreset::NextStep
    }

    /// Components of actions so far that lay outside the box and were taken as its nearest point.
    #[getter]
    fn clamped(&self) -> u64 {
        self.env.clamped()
    }

    #[getter]
    fn observations(&self, py: Python<'_>) -> Py<PyArray2<f32>> {
        self.arrays.observations.clone_ref(py)
    }

    #[getter]
    fn rewards(&self, py: Python<'_>) -> Py<PyArray1<f32>> {
        self.arrays.rewards.clone_ref(py)
    }

    #[getter]
    fn terminated(&self, py: Python<'_>) -> Py<PyArray1<bool>> {
        self.arrays.terminated.clone_ref(py)
    }

    #[getter]
    fn truncated(&self, py: Python<'_>) -> Py<PyArray1<bool>> {
        self.arrays.truncated.clone_ref(py)
    }

    /// Rows are written only where an episode ends.
    #[getter]
    fn final_observations(&self, py: Python<'_>) -> Py<PyArray2<f32>> {
        self.arrays.final_observations.clone_ref(py)
    }

    /// Starts every copy anew; writes `observations`.
    fn reset(&mut self, py: Python<'_>, seed: u64) -> PyResult<()> {
        let mut observations = self.arrays.observations.bind(py).try_readwrite()?;
        let observations = observations.as_slice_mut()?;
        let env = &mut self.env;
        py.detach(|| env.reset(seed, observations));
        self.outcomes.fill(StepOutcome::Continues);
        self.arrays.rewards.bind(py).try_readwrite()?.as_slice_mut()?.fill(0.0);
        self.flag(py).map(drop)
    }

    /// Takes one action in each copy and writes every array, without the interpreter's lock; true when an episode ended.
    ///
    /// `actions` is int64 `[num_envs]` for discrete actions, float32 `[num_envs, components]` for vectors.
    fn step(&mut self, py: Python<'_>, actions: &Bound<'_, PyAny>) -> PyResult<bool> {
        let vectors: Option<PyReadonlyArray2<'_, f32>> = match self.env.action_space() {
            ActionSpace::Discrete(count) => {
                let count = *count;
                self.choose(actions, count)?;
                None
            }
            ActionSpace::Continuous(bounds) => {
                let wanted = [self.env.envs(), bounds.width()];
                let given: PyReadonlyArray2<'_, f32> =
                    actions.extract().map_err(|_| shape("float32", "[num_envs, components]"))?;
                if given.as_array().shape() != wanted {
                    return Err(shape("float32", "[num_envs, components]"));
                }
                Some(given)
            }
        };
        let taken = match &vectors {
            Some(vectors) => Actions::Continuous(vectors.as_slice()?),
            None => Actions::Discrete(&self.chosen),
        };
        let mut observations = self.arrays.observations.bind(py).try_readwrite()?;
        let mut rewards = self.arrays.rewards.bind(py).try_readwrite()?;
        let mut final_observations = self.arrays.final_observations.bind(py).try_readwrite()?;
        let out = StepBuffers {
            observations: observations.as_slice_mut()?,
            rewards: rewards.as_slice_mut()?,
            outcomes: &mut self.outcomes,
            final_observations: final_observations.as_slice_mut()?,
        };
        let env = &mut self.env;
        py.detach(|| env.step(taken, out));
        self.flag(py)
    }

    /// All that is needed to go on from here, bit for bit.
    fn state(&self) -> Vec<u8> {
        self.env.state()
    }

    /// Goes on from a saved state of the same environment; writes `observations`.
    fn restore(&mut self, py: Python<'_>, state: &[u8]) -> PyResult<()> {
        self.env.restore(state).map_err(refused)?;
        self.env.observe(self.arrays.observations.bind(py).try_readwrite()?.as_slice_mut()?);
        Ok(())
    }

    fn __repr__(&self) -> String {
        self.env.to_string()
    }
}

fn shape(dtype: &str, shape: &str) -> pyo3::PyErr {
    PyValueError::new_err(format!("actions are a contiguous {dtype} array of shape {shape}"))
}

/// One of `T`'s names, in the words of a spec.
pub(crate) fn named<'a, T: serde::Deserialize<'a>>(name: &'a str) -> PyResult<T> {
    let name: serde::de::value::StrDeserializer<'a, serde::de::value::Error> = name.into_deserializer();
    T::deserialize(name).map_err(refused)
}

/// Refuses a count that no environment can be built with.
pub(crate) fn counted(num_envs: usize) -> PyResult<usize> {
    match num_envs {
        0 => Err(refused(envs::EnvError::NoEnvs)),
        count => Ok(count),
    }
}

/// Copies of a probe: a problem with a known answer.
#[pyfunction]
pub(crate) fn probe(py: Python<'_>, kind: &str, num_envs: usize) -> PyResult<Copies> {
    let kind: Kind = named(kind)?;
    Ok(Copies::new(py, Box::new(Probe::new(kind, counted(num_envs)?))))
}

/// Copies of a classic control problem, by Gymnasium's id.
#[pyfunction]
pub(crate) fn classic(py: Python<'_>, kind: &str, num_envs: usize, autoreset: &str) -> PyResult<Copies> {
    let (kind, autoreset): (ClassicKind, Autoreset) = (named(kind)?, named(autoreset)?);
    Ok(Copies::new(py, Box::new(Classic::new(kind, counted(num_envs)?, autoreset))))
}
