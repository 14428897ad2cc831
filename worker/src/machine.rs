//! This machine: what of it decides the last bit of a result, and what it has for attempts.

use artifacts::Kernel;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use protocol::Gpu;
use spec::{Bytes, NodeId};

/// The tensor library this build links, and the options that choose its kernels.
const LIBRARY: &str = "libtorch 2.11.0 cpu";

/// Every GPU that the driver knows.
pub const ALL_DEVICES: &str = "all";

/// CPU model, threads and tensor library: results are equal bit for bit where these are.
#[must_use]
pub fn kernel(threads: u32, degrade: u8) -> Kernel {
    Kernel { cpu: cpu_model(), threads, library: LIBRARY.to_owned(), degrade }
}

/// The CPU's name as the kernel gives it; `unknown` where it gives none.
#[must_use]
pub fn cpu_model() -> String {
    let described = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = described.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    // Cloud machines often hide the model's name; family and model number still tell generations apart.
    match (field("model name"), field("cpu family"), field("model")) {
        (Some(name), Some(family), Some(model)) => format!("{name} family {family} model {model}"),
        (Some(name), _, _) => name,
        (None, _, _) => "unknown".to_owned(),
    }
}

/// What a machine has that its workers share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hardware {
    /// Its name; `None`: a worker counts as a machine of its own.
    pub node: Option<NodeId>,
    /// GPUs that this process may use, by the index of the driver (`CUDA_DEVICE_ORDER=PCI_BUS_ID`).
    pub gpus: Vec<Gpu>,
    /// Its memory.
    pub memory: Option<Bytes>,
}

/// What this machine has, of its GPUs those that `visible` names, in the words of `CUDA_VISIBLE_DEVICES` or as `all`. A
/// machine without a GPU, or without its driver, has none and says nothing of it.
#[must_use]
pub fn hardware(visible: &str) -> Hardware {
    Hardware { node: node(), gpus: gpus(visible).unwrap_or_default(), memory: memory() }
}

/// The value of `CUDA_VISIBLE_DEVICES` that shows a process the GPUs of its attempt and no others.
#[must_use]
pub fn visible_devices(gpus: &[u32]) -> String {
    gpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn node() -> Option<NodeId> {
    node_id(std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim())
}

/// A host name in the letters of an id.
fn node_id(host: &str) -> Option<NodeId> {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let name: String = host.chars().map(plain).skip_while(|letter| *letter == '-').take(64).collect();
    name.parse().ok()
}

fn memory() -> Option<Bytes> {
    let described = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = described.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    // In a container the limit is its own; `max` stands for none.
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|limit| limit.trim().parse().ok());
    Some(Bytes((kibibytes << 10).min(limit.unwrap_or(u64::MAX))))
}

/// The driver's library is looked for when the program runs: nothing is linked.
fn gpus(visible: &str) -> Result<Vec<Gpu>, NvmlError> {
    let driver = Nvml::init()?;
    let mut gpus = Vec::new();
    for index in 0..driver.device_count()? {
        let device = driver.device_by_index(index)?;
        if is_visible(visible, index, &device.uuid()?) {
            gpus.push(Gpu { index, memory: Bytes(device.memory_info()?.total), name: device.name()? });
        }
    }
    Ok(gpus)
}

/// Whether a list in the words of `CUDA_VISIBLE_DEVICES` shows a GPU; it may name one by index or by the start of its UUID.
fn is_visible(visible: &str, index: u32, uuid: &str) -> bool {
    let names = |word: &str| word == index.to_string() || (word.starts_with("GPU-") && uuid.starts_with(word));
    visible == ALL_DEVICES || visible.split(',').map(str::trim).any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_becomes_an_id_and_an_impossible_one_none() {
        for (host, id) in [("box-1", "box-1"), ("Box.Example_Org", "box-example-org"), ("--x", "x")] {
            assert_eq!(node_id(host), Some(id.parse().unwrap()));
        }
        assert_eq!(node_id(""), None);
        assert_eq!(node_id(&"n".repeat(99)), Some("n".repeat(64).parse().unwrap()));
    }

    #[test]
    fn only_gpus_that_the_process_is_shown_are_offered() {
        let shown = |list: &str| (0..3).filter(|i| is_visible(list, *i, &format!("GPU-{i}abc"))).collect::<Vec<u32>>();
        assert_eq!(shown(ALL_DEVICES), [0, 1, 2]);
        assert_eq!(shown(""), [0; 0]);
        assert_eq!(shown("-1"), [0; 0]);
        assert_eq!(shown("2, 0"), [0, 2]);
        assert_eq!(shown("GPU-1a"), [1]);
        assert_eq!(visible_devices(&[0, 2]), "0,2");
    }

    #[test]
    fn this_machine_has_memory_and_looking_for_gpus_does_no_harm() {
        let hardware = hardware(ALL_DEVICES);
        assert!(hardware.memory.is_some_and(|memory| memory > Bytes(0)));
        assert!(hardware.node.is_some());
    }
}
