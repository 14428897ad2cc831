//! What trials need and workers have.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use spec::{Bytes, ResourceName};

/// What one attempt needs, all at once and on one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Demand {
    /// CPU cores.
    pub cpus: u32,
    /// GPUs.
    pub gpus: u32,
    /// Memory it takes of its one GPU, which it shares; `None`: its GPUs are its alone.
    pub gpu_memory: Option<Bytes>,
    /// Memory of the machine; 0: not counted.
    pub memory: Bytes,
    /// Other resources.
    pub custom: BTreeMap<ResourceName, u32>,
}

/// A GPU of a machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Its index on its machine, as CUDA counts.
    pub index: u32,
    /// Its memory.
    pub memory: Bytes,
    /// Its model, for people.
    pub name: String,
}

/// What an attempt can have at most on a worker while the machine runs nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offer {
    /// CPU cores.
    pub cpus: u32,
    /// GPUs.
    pub gpus: Vec<Gpu>,
    /// Memory of the machine; `None`: unknown.
    pub memory: Option<Bytes>,
    /// Other resources.
    pub custom: BTreeMap<ResourceName, u32>,
}

/// A resource of which no worker has enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shortage {
    /// Which: `CPU cores`, `GPUs`, `memory`, `memory of a GPU`, or the name of another resource.
    pub resource: String,
    /// As asked.
    pub asked: String,
    /// The most that one worker has.
    pub largest: String,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of at most {}", self.asked, self.resource, self.largest)
    }
}

impl Offer {
    /// Whether an attempt that needs `demand` fits on the empty worker.
    #[must_use]
    pub fn holds(&self, demand: &Demand) -> bool {
        if self.cpus < demand.cpus {
            return false;
        }
        let memory = demand.memory == Bytes(0) || self.memory.is_some_and(|memory| memory >= demand.memory);
        let share = demand.gpu_memory.unwrap_or_default();
        let gpus = self.gpus.iter().filter(|gpu| gpu.memory >= share).count();
        let custom = demand.custom.iter().all(|(name, count)| self.custom.get(name).is_some_and(|has| has >= count));
        gpus >= demand.gpus as usize && memory && custom
    }
}

impl Demand {
    /// The resources of which none of `offers` has enough; empty when each is enough somewhere, if not all on one.
    #[must_use]
    pub fn shortages(&self, offers: &[Offer]) -> Vec<Shortage> {
        let mut short = Vec::new();
        let mut need = |resource: &str, asked: u64, largest: u64, shown: fn(u64) -> String| {
            if asked > largest {
                short.push(Shortage { resource: resource.to_owned(), asked: shown(asked), largest: shown(largest) });
            }
        };
        let most = |of: &dyn Fn(&Offer) -> u64| offers.iter().map(of).max().unwrap_or_default();
        need("CPU cores", self.cpus.into(), most(&|offer| offer.cpus.into()), whole);
        need("GPUs", self.gpus.into(), most(&|offer| offer.gpus.len() as u64), whole);
        let largest_gpu = |offer: &Offer| offer.gpus.iter().map(|gpu| gpu.memory.0).max().unwrap_or_default();
        need("memory of a GPU", self.gpu_memory.unwrap_or_default().0, most(&largest_gpu), amount);
        need("memory", self.memory.0, most(&|offer| offer.memory.unwrap_or_default().0), amount);
        for (name, asked) in &self.custom {
            let largest = most(&|offer| offer.custom.get(name).copied().unwrap_or_default().into());
            need(name.as_str(), (*asked).into(), largest, whole);
        }
        short
    }
}

fn whole(count: u64) -> String {
    count.to_string()
}

fn amount(bytes: u64) -> String {
    Bytes(bytes).to_string()
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CPU cores", self.cpus)?;
        if self.gpus > 0 {
            write!(f, ", {} GPUs", self.gpus)?;
        }
        if let Some(share) = self.gpu_memory {
            write!(f, ", {share} of a GPU")?;
        }
        if self.memory > Bytes(0) {
            write!(f, ", {} memory", self.memory)?;
        }
        self.custom.iter().try_for_each(|(name, count)| write!(f, ", {count} {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(cpus: u32, gpus: u32) -> Offer {
        let gpu = |index| Gpu { index, memory: Bytes(16 << 30), name: String::new() };
        Offer { cpus, gpus: (0..gpus).map(gpu).collect(), memory: Some(Bytes(32 << 30)), custom: BTreeMap::new() }
    }

    #[test]
    fn what_is_short_is_named_with_the_largest_there_is() {
        let licence = [("licence".parse().unwrap(), 1)].into();
        let demand =
            Demand { cpus: 8, gpus: 4, gpu_memory: Some(Bytes(24 << 30)), memory: Bytes(64 << 30), custom: licence };
        let offers = [offer(4, 2), offer(16, 1)];
        let said: Vec<String> = demand.shortages(&offers).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "4 GPUs of at most 2",
                "24GiB memory of a GPU of at most 16GiB",
                "64GiB memory of at most 32GiB",
                "1 licence of at most 0"
            ]
        );
    }

    #[test]
    fn enough_of_each_but_not_on_one_worker_does_not_fit() {
        let offers = [offer(4, 2), offer(16, 1)];
        let demand = Demand { cpus: 8, gpus: 2, ..Demand::default() };
        assert!(demand.shortages(&offers).is_empty());
        assert!(!offers.iter().any(|offer| offer.holds(&demand)));
        assert!(offer(8, 2).holds(&demand));
    }
}
