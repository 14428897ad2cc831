//! Clients: each submits one experiment until it is acknowledged or can no longer be, looks at it, and may cancel it.

use protocol::{ExperimentState, Refusal, Submission};
use rand::RngExt as _;

use super::messages::{Answer, Body, Peer, Request};
use super::plan::SECOND;
use super::{Act, World};

/// Wait for an answer before a call is made again.
const PATIENCE: u64 = 3 * SECOND;

pub(super) struct Client {
    pub(super) submission: Submission,
    /// The submission was acknowledged.
    submitted: bool,
    /// A cancellation is wanted and not acknowledged yet.
    cancels: bool,
    /// What it submits is refused, and trying again would not help.
    pub(super) refused: bool,
    /// Shown to have ended.
    pub(super) ended: Option<ExperimentState>,
    call: Option<u64>,
}

impl Client {
    pub(super) const fn new(submission: Submission) -> Self {
        Self { submission, submitted: false, cancels: false, refused: false, ended: None, call: None }
    }
}

impl World {
    pub(super) fn submit(&mut self, client: usize) {
        let submission = self.clients[client].submission.clone();
        self.ask_for(client, Body::Submit(submission));
    }

    pub(super) fn cancel(&mut self, experiment: u32) {
        self.clients[experiment as usize].cancels = true;
    }

    /// Every client asks how its experiment stands; now and then somebody submits another under a name that is taken.
    pub(super) fn show(&mut self) {
        for index in 0..self.clients.len() {
            let client = &self.clients[index];
            let id = client.submission.experiment.clone();
            if !client.submitted || client.call.is_some() || client.ended.is_some() {
                continue;
            }
            if client.cancels {
                self.ask_for(index, Body::Cancel(id));
            } else if self.rng.random_bool(0.05) {
                let mut other = client.submission.clone();
                other.payload[0] ^= 1;
                let call = self.call();
                self.send(Request { from: Peer::Onlooker, call, body: Body::Submit(other) });
            } else {
                self.ask_for(index, Body::Show(id));
            }
        }
        let pause = self.rng.random_range(SECOND..6 * SECOND);
        self.after(pause, Act::Show);
    }

    fn ask_for(&mut self, client: usize, body: Body) {
        let call = self.call();
        self.clients[client].call = Some(call);
        self.send(Request { from: Peer::Client(client), call, body });
        self.after(PATIENCE, Act::Expire(client));
    }

    /// A submission without an answer is made again; whatever else a client asked, it asks again in its turn.
    pub(super) fn expire(&mut self, client: usize) {
        self.clients[client].call = None;
        if !self.clients[client].submitted && !self.clients[client].refused {
            self.submit(client);
        }
    }

    /// A submission is refused. While somebody it waits for has yet to come in it is made again; after that its time is over, or
    /// what it waits for has ended in vain.
    fn turned_away(&mut self, index: usize) {
        let after = &self.clients[index].submission.policy.after;
        let mut before = after.iter().filter_map(|on| self.named(on.as_str())).map(|on| &self.clients[on]);
        self.clients[index].refused = before.all(|client| client.submitted || client.refused);
    }

    pub(super) fn hear_client(&mut self, index: usize, call: u64, answer: Answer) {
        use crate::cluster::Reply;
        let client = &mut self.clients[index];
        if client.call != Some(call) {
            return;
        }
        match &answer {
            Answer::Reply(Ok(Reply::Experiment(view))) => {
                client.submitted = true;
                client.ended = Self::ended(view.state);
            }
            Answer::Shown(Ok(detail)) => client.ended = Self::ended(detail.experiment.state),
            Answer::Reply(Err(Refusal::Stopping)) => {}
            Answer::Reply(Err(Refusal::Invalid(_))) if !client.submitted => self.turned_away(index),
            Answer::Reply(_) | Answer::Leased(_) | Answer::Shown(Err(_)) => panic!("client {index} is told {answer:?}"),
        }
    }
}
