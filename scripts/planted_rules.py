"""Rules of the scheduler, each turned round once: file, then (what it does wrong, the sources' words, the wrong ones).

Both sides are Rust expressions of one type, for `scripts/planted.py` builds them into one program, each behind a switch.
The simulation alone must find every one; a rule that only another test can see has no place here.
"""

RULES = [
    # What leaves, and when.
    ("scheduler/src/round.rs", [
        ("a round of one record is answered and not journalled", "!records.is_empty()", "records.len() > 1"),
        ("an append that failed counts as one that did not", "self.journal.append(&records)?",
         "drop(self.journal.append(&records))"),
        ("what recovery decides is not journalled", "let Step { events: records, commands, .. } = recovered;",
         "let Step { events, commands, .. } = recovered;\n"
         "        let records = if crate::planted({n}) { Vec::new() } else { events };"),
        ("a worker that is sent away still waits by the book", "self.report(now, Input::Unpark(worker))",
         "drop(worker)"),
        ("a grant goes to the caller before its append",
         "        let records = std::mem::take(&mut self.records);\n        if",
         "        let records = if crate::planted({n}) && !self.commands.is_empty() && self.records.len() == 1 {\n"
         "            Vec::new()\n        } else {\n            std::mem::take(&mut self.records)\n        };\n        if"),
    ]),
    ("scheduler/src/round.rs", [
        ("a fenced end is taken for one that counts", "            Err(refusal) => Err((waiting, refusal)),\n        }\n    }\n\n    /// The engine",
         "            Err(_) if crate::planted({n}) => self.lease(now, worker, waiting),\n"
         "            Err(refusal) => Err((waiting, refusal)),\n        }\n    }\n\n    /// The engine"),
    ]),
    ("scheduler/src/journal.rs", [
        ("recovery skips the last record",
         "    journal.replay(&mut |Record { at, event }| {\n",
         "    let mut left = 0_u64;\n"
         "    if crate::planted({n}) {\n"
         "        journal.replay(&mut |_| {\n            left += 1;\n            Ok(())\n        })?;\n"
         "    }\n"
         "    journal.replay(&mut |Record { at, event }| {\n"
         "        left = left.wrapping_sub(1);\n"
         "        if left == 0 {\n            return Ok(());\n        }\n"),
        ("a restarted clock runs behind the journal", "last.max(at)", "last.min(at)"),
    ]),
    ("scheduler/src/journal/sqlite.rs", [
        ("two schedulers may write one journal", "rustix::fs::FlockOperation::NonBlockingLockExclusive",
         "rustix::fs::FlockOperation::NonBlockingLockShared"),
    ]),
    ("scheduler/src/event.rs", [
        ("a result is journalled without its bytes",
         "Self::Trial { change: Change::Succeed { outcome, .. }, .. } => outcome,",
         "Self::Trial { change: Change::Succeed { outcome, .. }, .. } => {\n"
         "                if crate::planted({n}) { &[] } else { outcome }\n            }"),
    ]),
    # Leases and tokens.
    ("scheduler/src/cluster/acts.rs", [
        ("another worker's token counts", "(held.worker == *worker).then(|| held.trial.clone())",
         "Some(held.trial.clone())"),
        ("a lease lasts twice as long", "(self.options.lease.millis() * leases)",
         "self.options.lease.millis() * leases * 2"),
        ("a failure is taken for a lost worker",
         "self.change(now, &trial, Change::Fail { attempt, class, message, retry })",
         "self.change(now, &trial, Change::Lose { attempt, retry })"),
        ("the time a scheduler was away counts against an attempt",
         "now.plus_seconds(seconds(experiment.submission.policy.timeout))",
         "{\n            let held = self.ledger.trial(trial).and_then(|trial| views::holder(&trial.state));\n"
         "            let since = held.map_or(now, |(_, since)| since);\n"
         "            since.plus_seconds(seconds(experiment.submission.policy.timeout))\n        }"),
        ("an attempt may run past its limit", "self.timers.set(Timer::Limit(attempt), limit)", "()"),
    ]),
    ("scheduler/src/cluster.rs", [
        ("a stale heartbeat makes a lease",
         "return Ok(Reply::Directive(Directive::Stop(StopCause::Fenced)))",
         "{ self.renew(now, attempt); return Ok(Reply::Directive(Directive::Stop(StopCause::Fenced))); }"),
        ("a stale heartbeat renews the lease of its worker's present attempt",
         "return Ok(Reply::Directive(Directive::Stop(StopCause::Fenced)))",
         "{ for held in self.ledger.attempts_of(worker).collect::<Vec<_>>() { self.renew(now, held); } "
         "return Ok(Reply::Directive(Directive::Stop(StopCause::Fenced))); }"),
        ("an expired lease is not fenced", "            Some(_) => self.lose(now, attempt),",
         "            Some(_) if crate::planted({n}) => Ok(()),\n            Some(_) => self.lose(now, attempt),"),
        ("re-adoption forgets the attempts that ran", "cluster.readopt(now, attempt)", "()"),
        ("re-adoption takes attempts from workers that live", "cluster.readopt(now, attempt)",
         "cluster.lose(now, attempt)?"),
        ("re-adoption waits one lease, not three, and counts the time away", "cluster.readopt(now, attempt)",
         "cluster.renew(now, attempt)"),
        ("an old checkpoint takes the place of a newer one",
         "newest.is_none_or(|(by, step)| by != attempt || step < checkpoint.step)", "true"),
        ("a requeueing restart keeps dead attempts", "Recovery::Requeue => cluster.lose(now, attempt)?,",
         "Recovery::Requeue if crate::planted({n}) => cluster.readopt(now, attempt),\n"
         "                Recovery::Requeue => cluster.lose(now, attempt)?,"),
        ("a grant that got lost is not sent again", "self.grant(now, id, attempt)", "()"),
        ("a worker that asks again keeps what it ran",
         "            self.lose(now, attempt)?;\n        }\n        self.place(now)?;\n        Ok(Reply::Parked)",
         "            if !crate::planted({n}) {\n                self.lose(now, attempt)?;\n            }\n"
         "        }\n        self.place(now)?;\n        Ok(Reply::Parked)"),
        ("handing an attempt back counts as a lost worker",
         "self.change(now, &trial, Change::Release { attempt })?", "self.lose(now, attempt)?"),
        ("recovery does not go on with a sweep",
         "cluster.drive(now, &id)?.map_err(|source| RecoveryError::Sweep { experiment: id, source })?", "()"),
    ]),
    # What goes where, and when.
    ("scheduler/src/cluster/order.rs", [
        ("back-off is ignored", "experiment.queue().next()",
         "experiment.queue().next().map(|(_, index)| (Timestamp::default(), index))"),
    ]),
    # Who makes room for whom.
    ("scheduler/src/cluster/preempt.rs", [
        ("an attempt of the same priority makes room", "lower < priority && free", "lower <= priority && free"),
        ("who made room is asked again at once", "!self.spared.contains_key(trial)", "true"),
    ]),
    ("scheduler/src/cluster.rs", [
        ("who is to make room is not told", "Ok(Reply::Directive(Directive::Stop(StopCause::Preempted)))",
         "Ok(Reply::Directive(Directive::Continue))"),
        ("a drained worker is told to go on", "self.draining || self.drained(attempt)", "self.draining"),
    ]),
    ("scheduler/src/cluster/acts.rs", [
        ("who made room is still asked to", "self.made_room(now, trial, attempt)", "()"),
        ("a parent goes on before its child is asked for",
         "        for (index, New { payload, parent, told }) in (first..).zip(driven.new) {",
         "        let mut driven = driven;\n"
         "        if crate::planted({n}) {\n"
         "            for (index, change) in std::mem::take(&mut driven.judged) {\n"
         "                self.change(now, &TrialId { experiment: id.clone(), index }, change)?;\n"
         "            }\n        }\n"
         "        for (index, New { payload, parent, told }) in (first..).zip(driven.new) {"),
    ]),
    # What there is of a machine.
    ("scheduler/src/cluster/place.rs", [
        ("nobody is asked to make room", "self.preempt(now, &id)", "()"),
        ("a cordoned worker gets attempts", "self.ledger.cordon(&target).is_some()", "false"),
        ("a drain of a machine does not reach its workers",
         "held.node.clone().map(Target::Node)", "None"),
        ("a drain of a machine reaches its workers once they have registered",
         "held.node.clone().map(Target::Node)",
         "self.machines.workers.get(&held.worker).map(|worker| Target::Node(worker.node.clone()))"),
        ("a GPU of which others hold a share is given away whole",
         "!used(gpu.index).whole && used(gpu.index).shared == Bytes(0)", "!used(gpu.index).whole"),
        ("shares of a GPU add up to more than it has",
         "                    !used.whole && used.shared.0.saturating_add(share.0) <= gpu.memory.0\n",
         "                    if crate::planted({n}) {\n                        return !used.whole;\n                    }\n"
         "                    !used.whole && used.shared.0.saturating_add(share.0) <= gpu.memory.0\n"),
        ("memory of a machine is given to two", "memory.0.saturating_add(demand.memory.0) > has.0",
         "demand.memory.0 > has.0"),
        ("what is held of a machine is not written down",
         "Change::Lease { attempt, worker: worker.clone(), node: Some(node), gpus }",
         "Change::Lease { attempt, worker: worker.clone(), node: None, gpus }"),
        ("a machine that is kept free is given to others", "self.kept_from(experiment, &worker.node)", "false"),
        ("an assignment names no GPUs", "held.gpus,", "Vec::new(),"),
        ("an assignment does not say what is lent", "trial.lent.clone(),", "Vec::new(),"),
        ("a child is not told where it begins", "trial.parent.map(|descent| descent.checkpoint),", "None,"),
    ]),
    ("scheduler/src/cluster/admission.rs", [
        ("a cordon is acknowledged and does nothing", "self.emit(now, Event::Cordoned { target, cordon })?",
         "drop((target, cordon))"),
        ("a cordon is never lifted", "self.emit(now, Event::Uncordoned { target })?", "drop(target)"),
    ]),
    ("scheduler/src/ledger.rs", [
        ("a machine that was opened is still closed", "self.cordons.remove(target)", "None"),
    ]),
    ("scheduler/src/surplus.rs", [
        ("what a child begins with is deleted",
         "needed.extend(trial.parent.iter().map(|parent| parent.checkpoint.digest))", "()"),
    ]),
    # What ties experiments to people, to one another and to time.
    ("scheduler/src/cluster/place.rs", [
        ("a quota does not count what is asked for", "held + u64::from(policy.cpus) > u64::from(limit)",
         "held > u64::from(limit)"),
        ("an attempt starts after its deadline", "!is_late(now, experiment)", "true"),
    ]),
    ("scheduler/src/cluster/options.rs", [
        ("an owner without a quota of its own has none",
         "owner.and_then(|owner| self.owners.get(owner)).copied().or(self.default)",
         "owner.and_then(|owner| self.owners.get(owner)).copied()"),
    ]),
    ("scheduler/src/ledger.rs", [
        ("an attempt that ended counts against its owner", "*cpus -= u64::from(policy.cpus)", "()"),
        ("nobody waits for who comes before", "experiment.waits.insert(on)", "{ drop(on); true }"),
        ("a success lets nobody follow", "waits.waits.remove(id)", "false"),
        ("an experiment that is opened again is not served", "self.open.insert((priority, experiment.sequence, id.clone()))",
         "priority.0 == i32::MAX"),
    ]),
    ("scheduler/src/cluster/acts.rs", [
        ("who waited for a failure goes on waiting",
         "ends.push_back((waits, ExperimentState::Cancelled, Some(in_vain(&id, state))))", "drop(waits)"),
        ("who waited for one that was cancelled goes on waiting", "if state == ExperimentState::Succeeded {\n                    self",
         "if state == ExperimentState::Succeeded || (crate::planted({n}) && state == ExperimentState::Cancelled) {\n"
         "                    self"),
    ]),
    ("scheduler/src/cluster.rs", [
        ("a restart forgets deadlines", "cluster.watch_deadline(&id)", "()"),
        ("a restart leaves who waits in vain waiting", "cluster.end_stranded(now)?", "()"),
    ]),
    ("scheduler/src/cluster/admission.rs", [
        ("an experiment follows one that failed",
         "matches!(on.state, ExperimentState::Failed | ExperimentState::Cancelled)", "false"),
        ("a deadline that has passed is taken", "submission.policy.deadline.filter(|deadline| *deadline <= now)", "None"),
        ("what is late fails", "self.end_because(now, id, ExperimentState::Cancelled, Some(reason))",
         "self.end_because(now, id, ExperimentState::Failed, Some(reason))"),
        ("a trial is requeued whatever its sweep was told", "        if !same {\n", "        if !same && !crate::planted({n}) {\n"),
        ("a trial is requeued though its batch was judged without it", "!driver.is_behind(&proposed)", "true"),
        ("a requeue is acknowledged and does nothing", "self.change(now, trial, Change::Requeue)?", "()"),
        ("an experiment that is opened again has no deadline", "self.watch_deadline(&trial.experiment)", "()"),
        ("a trial is requeued by a sweep that knows of its failure", "self.drivers.insert(trial.experiment.clone(), driver)",
         "None"),
    ]),
    ("scheduler/src/trial.rs", [
        ("a requeued trial has spent its budget", "(self.failures, self.losses, self.last_failure) = (0, 0, None)",
         "self.last_failure = None"),
        ("a requeued trial begins at the top of its ladder", "(self.failures, self.losses, self.last_failure) = (0, 0, None)",
         "(self.failures, self.losses, self.last_failure, self.degrade) = (0, 0, None, 0)"),
    ]),
    ("scheduler/src/surplus.rs", [
        ("what a requeued child begins with is deleted", "            if may_go_on(experiment, trial) {\n",
         "            let failed = crate::planted({n}) && matches!(trial.state, TrialState::Failed { .. });\n"
         "            if may_go_on(experiment, trial) && !failed {\n"),
    ]),
    # A snapshot and the rest of its journal.
    ("scheduler/src/snapshot.rs", [
        ("a snapshot is followed from one record too late", "self.records.saturating_sub(1)", "self.records"),
    ]),
    ("scheduler/src/ledger/code.rs", [
        ("a snapshot forgets what was lent", "lent.put(to)", "Vec::<CheckpointRef>::new().put(to)"),
        ("a snapshot forgets the last token", "last_attempt.put(to)", "AttemptId(0).put(to)"),
        ("a snapshot forgets who waits", "waits.iter().cloned().collect::<Vec<_>>().put(to)",
         "Vec::<ExperimentId>::new().put(to)"),
    ]),
    ("scheduler/src/cluster/place.rs", [
        ("a draining scheduler gives leases out", "        if self.draining {\n            return Ok(());",
         "        if self.draining && !crate::planted({n}) {\n            return Ok(());"),
        ("an assignment names no rung", "self.rung_of(&held.trial)", "None"),
        ("an assignment names no checkpoint", "trial.checkpoints.clone(),", "Vec::new(),"),
    ]),
    ("scheduler/src/cluster/admission.rs", [
        ("another spec under the same id is taken for the same", "known.submission.payload != submission.payload",
         "known.submission.experiment != submission.experiment"),
    ]),
    # The fold of the journal.
    ("scheduler/src/ledger.rs", [
        ("cancelling leaves an attempt live", "        for attempt in attempts {\n            self.let_go(attempt);",
         "        for attempt in attempts.into_iter().filter(|_| !crate::planted({n})) {\n"
         "            self.let_go(attempt);"),
        ("a token is used again after a restart", "pub const fn next_attempt(&self) -> AttemptId {\n",
         "pub fn next_attempt(&self) -> AttemptId {\n"
         "        if crate::planted({n}) {\n"
         "            return AttemptId(self.live.last_key_value().map_or(0, |(last, _)| last.0) + 1);\n        }\n"),
        ("a fenced attempt stays among the live", "        if before != after\n",
         "        if before != after && !crate::planted({n})\n"),
    ]),
    ("scheduler/src/ledger/experiment.rs", [
        ("the parallel limit is off by one", "self.live() < limit", "self.live() <= limit"),
        ("a trial that goes back to the queue is lost",
         "        self.queued.extend(queued(&trial.state, index));\n        if matches!(change",
         "        if !crate::planted({n}) {\n            self.queued.extend(queued(&trial.state, index));\n        }\n"
         "        if matches!(change"),
        ("what is lent is forgotten", "parent.lent.push(descent.checkpoint)", "()"),
        ("an attempt that ended counts as running", "*count(&mut self.counts, &trial.state) -= 1",
         "if trial.state.live_attempt().is_none() {\n"
         "            *count(&mut self.counts, &trial.state) -= 1;\n        }"),
    ]),
    ("scheduler/src/trial.rs", [
        ("a lost worker costs an attempt", "self.losses += 1", "{ self.losses += 1; self.failures += 1; }"),
        ("a failure counts twice", "self.failures += 1", "self.failures += 2"),
        ("the newest checkpoint is kept last", "self.checkpoints.insert(0, checkpoint)",
         "self.checkpoints.push(checkpoint)"),
        ("memory that runs out degrades nothing", "u8::from(*class == FailureClass::Oom)", "0"),
        ("a result is dropped", "Some(outcome.clone())", "None"),
        ("what a trial measured at a rung is dropped", "self.rungs.push(*value)", "()"),
        ("a child has the rungs of its parent before it", "parent.rungs.clone(),", "Vec::new(),"),
        ("the checkpoint of a trial that holds is not kept", "self.keep(*checkpoint)",
         "{ if matches!(change, Change::Checkpoint { .. }) { self.keep(*checkpoint); } }"),
    ]),
    ("scheduler/src/retry.rs", [
        ("the last retry is lost", "(worth_it && failures < retry.attempts)",
         "worth_it && failures + 1 < retry.attempts"),
        ("one retry is too many", "(worth_it && failures < retry.attempts)",
         "worth_it && failures <= retry.attempts"),
        ("a failure of the data is tried again", "FailureClass::Data => false,",
         "FailureClass::Data => crate::planted({n}),"),
        ("back-off does not double", "2_f64.powi(doublings)", "1_f64"),
    ]),
    # The order in which a sweep is asked and told.
    ("scheduler/src/driver.rs", [
        ("a batch is told from its end", "            for (index, outcome) in batch.zip(outcomes) {",
         "            let mut told: Vec<_> = batch.zip(outcomes).collect();\n"
         "            if crate::planted({n}) {\n                told.reverse();\n            }\n"
         "            for (index, outcome) in told {"),
        ("the newest batch is told first",
         "            let Some(batch) = self.batches.front().cloned() else { return Err(SweepError::Stuck) };",
         "            let told = if crate::planted({n}) { self.batches.back() } else { self.batches.front() };\n"
         "            let Some(batch) = told.cloned() else { return Err(SweepError::Stuck) };"),
        ("the worse half goes on from a rung", "go_on.contains(index)", "!go_on.contains(index)"),
        ("a rung is judged before its batch is there",
         "                None => return Ok(false),\n            }\n            self.looked += 1;",
         "                None if crate::planted({n}) => {}\n                None => return Ok(false),\n"
         "            }\n            self.looked += 1;"),
        ("a batch that was judged at a rung is not looked through for the next",
         "        self.looked = batch.start;", "        self.looked = if crate::planted({n}) { batch.end } else { batch.start };"),
        ("what an asynchronous sweep was told is not journalled", "std::mem::take(&mut self.told)",
         "{ self.told.clear(); Vec::new() }"),
        ("a failed trial is told as cancelled", "TrialState::Failed { .. } => Some(SweepOutcome::Failed),",
         "TrialState::Failed { .. } if crate::planted({n}) => Some(SweepOutcome::Cancelled),\n"
         "        TrialState::Failed { .. } => Some(SweepOutcome::Failed),"),
    ]),
    ("scheduler/src/driver/asynchronous.rs", [
        ("ends are journalled in another order than they were told in", "self.told.push(index)",
         "self.told.insert(0, index)"),
        ("a restart tells nothing of what ended before", "                for index in &known.told {\n",
         "                for index in known.told.iter().filter(|_| !crate::planted({n})) {\n"),
        ("a trial is judged again at rungs that lie behind it", "judged as usize", "0"),
    ]),
]
