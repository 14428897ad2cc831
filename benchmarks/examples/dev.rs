use benchmarks::{agent, evaluation::*, figures::figures, gemm, stepping};
use envs::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    if a[1] == "env" {
        let mut e = Classic::new(a[2].parse().unwrap(), a[3].parse().unwrap(), Autoreset::SameStep);
        let s = stepping(&mut e, 1.0);
        println!("{:.1} M/s", s.steps as f64 / s.elapsed.cpu_s / 1e6);
        return;
    }
    let spec =
        spec::parse_benchmark(&a[1], &std::fs::read_to_string(&a[1]).unwrap()).unwrap_or_else(|p| panic!("{p:?}"));
    let (first, seeds): (u64, u64) = (a[2].parse().unwrap(), a[3].parse().unwrap());
    let starts = if spec.env == "Pendulum-v1" {
        let t = std::fs::read_to_string("/work/shared/reference/pendulum_starts_200.csv").unwrap();
        Starts::Fixed(
            t.lines()
                .skip(1)
                .map(|l| {
                    let v: Vec<f64> = l.split(',').map(|x| x.parse().unwrap()).collect();
                    Start { state: v[..2].to_vec(), optimum: v[2] }
                })
                .collect(),
        )
    } else {
        Starts::Drawn { episodes: 200, seed: 999_983 }
    };
    let peak = gemm::peak();
    let mut runs = vec![];
    for seed in first..first + seeds {
        let r = agent::run(&spec, seed, &starts).unwrap();
        let m = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        eprintln!(
            "seed {seed} last {:.1} best {:?} regret {:?} {:?} cpu {:.1}s learn {:.0} steps/s",
            m(&r.last),
            r.best.as_deref().map(m),
            r.regret,
            r.best_regret,
            r.elapsed.cpu_s,
            r.steps_learning as f64 / r.learning.cpu_s
        );
        runs.push(r);
    }
    println!("{}", serde_json::to_string(&figures(("x", &spec.env, spec.agent.steps), &runs, peak)).unwrap());
}
