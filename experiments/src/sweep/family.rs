//! Populations: at a rung the worst members stop, and for each a child goes on from the checkpoint of one of the best.

use scheduler::Child;
use search::{Member, Population, Step};
use spec::{Parent, Pruner, TrialId, canonical_json};

use super::port::{Asked, ExperimentSweep};
use super::source::Drawn;

impl ExperimentSweep {
    /// Children that a population can have at most; none of any other sweep.
    pub(super) fn children_max(&self) -> u32 {
        let sweep = &self.question.spec.sweep;
        let Pruner::Population { rungs, quantile, .. } = sweep.pruner else { return 0 };
        let of = |members: u32| rungs.saturating_mul((f64::from(members) * quantile) as u32);
        let (batch, points) = (sweep.batch.max(1), sweep.trials);
        (points / batch).saturating_mul(of(batch)).saturating_add(of(points % batch))
    }

    /// The members of one population that go on from `rung`, and the children of the others' betters. What is drawn hangs on
    /// the question, the batch and the rung; a member that measured nothing is the worst.
    pub(super) fn breed(&mut self, rung: u32, points: &[u32]) -> (Vec<u32>, Vec<Child>) {
        let (Pruner::Population { quantile, perturb, resample, .. }, Some((space, key))) =
            (self.question.spec.sweep.pruner, self.source.space())
        else {
            return (points.to_vec(), Vec::new());
        };
        let member = |point: &u32| Member {
            trial: *point,
            point: self.asked[*point as usize].point.clone(),
            value: self.shown.value(*point, rung).unwrap_or(f64::NAN),
        };
        let members: Vec<Member> = points.iter().map(member).collect();
        let rule = Population { share: quantile, perturbed: perturb, resampled: resample };
        // There are at most 99 rungs.
        let steps = rule.steps(space, &members, key, self.batches * 100 + rung);
        let (mut kept, mut children) = (Vec::new(), Vec::new());
        for (point, step) in points.iter().zip(steps) {
            match step {
                Step::Keep => kept.push(*point),
                Step::Copy { from, point } => children.extend(self.child((from, rung), point)),
            }
        }
        (kept, children)
    }

    /// Takes in a child of member `from`; `None` where that one was no trial itself.
    fn child(&mut self, (from, rung): (u32, u32), point: search::Point) -> Option<Child> {
        // A population has one seed: a point is a trial.
        let parent = self.trial_asked(from).ok()?;
        let better = &self.asked[from as usize];
        let (share, rungs) = (*better.rungs.get(rung as usize)?, better.rungs.clone());
        let index = self.asked.len() as u32;
        let drawn = Drawn { params: self.source.params(&point), point };
        // A corner of the space that makes no sound trial: the child goes on as its parent does.
        let fits = self.made(index, &drawn.params).is_ok();
        let Drawn { point, params } =
            if fits { drawn } else { Drawn { point: better.point.clone(), params: better.params.clone() } };
        let parent = Parent {
            trial: TrialId { experiment: self.experiment.clone(), index: from },
            spec: parent.identity(),
            share,
            checkpoint: None,
        };
        self.asked.push(Asked { point, params, parent: Some(parent), rungs, reached: None, told: vec![None] });
        self.open += 1;
        let trial = self.trial_asked(index).ok()?;
        Some(Child { parent: from, payload: canonical_json(&trial) })
    }
}
