use std::path::PathBuf;

use anyhow::Context;
use sky_cli::{ModelConfig, Recipe, UserError, nearest};
use sky_plan::{
    DataSize, Gpu, Hardware, HardwareConfig, ModelShape, Plan, PlanInput, TrainConfig, parse_bytes,
};
use sky_types::{Section, SettingError};

use crate::size::{data_size, shape};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The recipe: a TOML file; its section [hardware] gives the defaults of the options.
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// Number of GPUs in all hosts together, 1 to 1024; default: [hardware], else 8.
    #[arg(long, value_name = "N")]
    gpus: Option<u64>,
    /// Number of hosts, with equally many GPUs in each; default: [hardware], else 1.
    #[arg(long, value_name = "N")]
    hosts: Option<u64>,
    /// Kind of GPU: h100-80g, h200-141g, a100-80g, a100-40g, or one in the file of --hardware;
    /// default: [hardware], else h100-80g.
    #[arg(long, value_name = "KIND")]
    gpu: Option<String>,
    /// Memory of each host, such as 1800G, 1.5T or 512GiB; default: [hardware], else 1800G.
    #[arg(long, value_name = "SIZE")]
    host_memory: Option<String>,
    /// Rent of one GPU in dollars per hour; default: [hardware], else the built-in price of this
    /// kind.
    #[arg(long, value_name = "DOLLARS")]
    price: Option<f64>,
    /// Number of training rows, unless --run counts them; default: [hardware], else derived from
    /// [problems] and [select].
    #[arg(long, value_name = "N")]
    rows: Option<u64>,
    /// Mean tokens of a row, unless --run counts them; default: [hardware], else estimated from
    /// [sample].
    #[arg(long, value_name = "N")]
    tokens_per_row: Option<f64>,
    /// Run folder whose selected rows are counted, when it has any.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// TOML file with the numbers of GPUs and hosts, read in place of the built-in one.
    #[arg(long, value_name = "FILE")]
    hardware: Option<PathBuf>,
    /// Print the plan as one JSON document instead of a table.
    #[arg(long)]
    json: bool,
}

/// The inputs of a plan, read and checked.
pub(crate) struct Planned {
    shape: ModelShape,
    config: TrainConfig,
    hardware: Hardware,
    gpu: Gpu,
    options: HardwareConfig,
    size: DataSize,
    /// Where the numbers of `size` come from, for the list of assumptions.
    source: &'static str,
}

impl Planned {
    pub(crate) fn new(
        recipe: &Recipe,
        shape: ModelShape,
        config: TrainConfig,
        hardware: Hardware,
        options: HardwareConfig,
        run: Option<&std::path::Path>,
    ) -> anyhow::Result<Self> {
        let known = data_size(recipe, run, &config, &options)?.ok_or_else(|| {
            UserError(
                "the number of training rows is unknown: give --rows, or rows in [hardware]".into(),
            )
        })?;
        let gpu = hardware.gpu(&options.gpu).cloned().map_err(|_| {
            let nearest = nearest(&options.gpu, hardware.gpu.keys().map(String::as_str));
            recipe.error_at(
                "hardware",
                "gpu",
                &format!("`{}` is not known{nearest}", options.gpu),
            )
        })?;
        Ok(Self {
            shape,
            config,
            gpu,
            hardware,
            options,
            size: known.size,
            source: known.source,
        })
    }

    pub(crate) fn plan(&self) -> anyhow::Result<Plan> {
        let host_memory = parse_bytes(&self.options.host_memory)
            .map_err(|error| UserError(format!("host_memory: {error}")))?;
        let mut plan = Plan::new(&PlanInput {
            shape: &self.shape,
            config: &self.config,
            gpus: self.options.gpus,
            hosts: self.options.hosts,
            gpu: &self.gpu,
            hardware: &self.hardware,
            host_memory,
            dollars_per_gpu_hour: self
                .options
                .dollars_per_gpu_hour
                .unwrap_or(self.gpu.dollars_per_hour),
            rows: self.size.rows,
            tokens_per_row: self.size.tokens_per_row,
        })
        .map_err(|error| UserError(error.to_string()))?;
        plan.assumptions
            .push(format!("rows and their tokens: {}", self.source));
        Ok(plan)
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let recipe = Recipe::load(&args.recipe)?;
    let config: TrainConfig = recipe.section()?;
    let student: ModelConfig = recipe.parse_section("student")?;
    let mut options: HardwareConfig = recipe.section()?;
    options.gpus = args.gpus.unwrap_or(options.gpus);
    options.hosts = args.hosts.unwrap_or(options.hosts);
    options.gpu = args.gpu.clone().unwrap_or(options.gpu);
    options.host_memory = args.host_memory.clone().unwrap_or(options.host_memory);
    options.dollars_per_gpu_hour = args.price.or(options.dollars_per_gpu_hour);
    options.rows = args.rows.or(options.rows);
    options.tokens_per_row = args.tokens_per_row.or(options.tokens_per_row);
    // The recipe's own values were checked before, so that a wrong value here is an option's.
    options.check().map_err(|SettingError { key, reason }| {
        let option = match key {
            "dollars_per_gpu_hour" => "price".to_owned(),
            key => key.replace('_', "-"),
        };
        UserError(format!("--{option}: {reason}"))
    })?;
    let hardware = match &args.hardware {
        Some(path) => {
            let text = sky_files::read_text(path)?;
            Hardware::parse(&text)
                .map_err(|error| UserError(format!("{}: {error}", path.display())))?
        }
        None => Hardware::builtin().context("the built-in hardware.toml is broken")?,
    };
    if let Some(gpu) = args.gpu.as_deref().filter(|gpu| hardware.gpu(gpu).is_err()) {
        let nearest = nearest(gpu, hardware.gpu.keys().map(String::as_str));
        return Err(UserError(format!("--gpu: `{gpu}` is not known{nearest}")).into());
    }
    let shape = shape(&recipe, &student)?;
    let planned = Planned::new(
        &recipe,
        shape,
        config,
        hardware,
        options,
        args.run.as_deref(),
    )?;
    let plan = planned.plan()?;
    if args.json {
        sky_cli::outln!("{}", serde_json::to_string_pretty(&json(&plan))?);
    } else {
        print(&plan, &planned);
    }
    Ok(())
}

/// The plan as JSON, with the best setting's numbers at the top level for scripts.
fn json(plan: &Plan) -> serde_json::Value {
    let best = &plan.best;
    serde_json::json!({
        "v": 1,
        "fits": plan.fits,
        "advice": plan.advice,
        "setting": best.setting,
        "first_that_fits": plan.first.as_ref().map(|first| first.setting),
        "as_set": plan.as_set,
        "gpu_bytes": best.gpu_bytes,
        "host_bytes": best.host_bytes,
        "link_bytes_per_step": best.link_bytes_per_step,
        "network_bytes_per_step": best.network_bytes_per_step,
        "transfer_bytes_per_step": best.transfer_bytes_per_step,
        "disk_bytes_per_step": best.disk_bytes_per_step,
        "step_seconds": best.step_seconds,
        "optimizer_seconds": best.optimizer_seconds,
        "mfu": best.mfu,
        "hours": best.hours,
        "dollars": best.dollars,
        "params": plan.params,
        "trained_params": plan.trained_params,
        "steps": plan.steps,
        "tokens": plan.tokens,
        "settings": plan.settings,
        "assumptions": plan.assumptions,
    })
}

fn print(plan: &Plan, planned: &Planned) {
    let trained = match planned.config.lora {
        Some(_) => format!(
            " ({:.1} M in adapters are trained)",
            plan.trained_params as f64 / 1e6
        ),
        None => String::new(),
    };
    sky_cli::outln!(
        "{:.2} B parameters{trained}, {} steps, {:.1} M tokens on {} x {}{}",
        plan.params as f64 / 1e9,
        plan.steps,
        plan.tokens / 1e6,
        planned.options.gpus,
        planned.gpu.name,
        match planned.options.hosts {
            1 => String::new(),
            hosts => format!(" in {hosts} hosts"),
        }
    );
    print_settings(plan);
    print_best(plan, planned);
    if let Some(advice) = &plan.advice {
        sky_cli::outln!("does not fit; {advice}");
    }
    sky_cli::outln!("assumptions:");
    for assumption in &plan.assumptions {
        sky_cli::outln!("  - {assumption}");
    }
}

fn gb(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e9)
}

/// Prints a table of all settings, then the recipe's own and the first that fits.
fn print_settings(plan: &Plan) {
    sky_cli::outln!(
        "{:<76} {:>6} {:>8} {:>8} {:>8} {:>7} {:>7}",
        "setting",
        "fits",
        "GPU GB",
        "host GB",
        "s/step",
        "hours",
        "$"
    );
    for setting in &plan.settings {
        sky_cli::outln!(
            "{:<76} {:>6} {:>8} {:>8} {:>8.1} {:>7.1} {:>7.0}",
            setting.setting.to_string(),
            if setting.fits { "yes" } else { "no" },
            gb(setting.gpu_bytes.total),
            gb(setting.host_bytes.total),
            setting.step_seconds,
            setting.hours,
            setting.dollars
        );
    }
    let set = &plan.as_set;
    let misfit = if set.fits {
        String::new()
    } else {
        format!(
            "; does not fit ({} GB a GPU, {} GB a host)",
            gb(set.gpu_bytes.total),
            gb(set.host_bytes.total)
        )
    };
    sky_cli::outln!("as the recipe sets it: {}{misfit}", set.setting);
    if let Some(first) = plan.first.as_ref().filter(|first| **first != plan.best) {
        sky_cli::outln!("first that fits: {}", first.setting);
    }
}

/// Prints the best setting's memory and time, part by part.
fn print_best(plan: &Plan, planned: &Planned) {
    let best = &plan.best;
    let (gpu, host) = (best.gpu_bytes, best.host_bytes);
    let kind = if plan.fits {
        "cheapest that fits"
    } else {
        "smallest"
    };
    sky_cli::outln!("{kind}: {}", best.setting);
    sky_cli::outln!(
        "  GPU, GB:  parameters {}  gradients {}  optimizer {}  activations {}  buffers {}  reserve {}  = {} of {:.0}",
        gb(gpu.parameters),
        gb(gpu.gradients),
        gb(gpu.optimizer),
        gb(gpu.activations),
        gb(gpu.buffers),
        gb(gpu.reserve),
        gb(gpu.total),
        planned.gpu.memory / 1e9
    );
    sky_cli::outln!(
        "  each host, GB: parameters {}  gradients {}  optimizer {}  activations {}  copy for checkpoints {}  processes {}  = {}",
        gb(host.parameters),
        gb(host.gradients),
        gb(host.optimizer),
        gb(host.activations),
        gb(host.checkpoint),
        gb(host.processes),
        gb(host.total)
    );
    sky_cli::outln!(
        "  a step: {:.1} s, {:.1} s of it the optimizer; {:.1} GB over GPU links, {:.1} GB over the network, {:.1} GB to and from the host; MFU {:.0} %",
        best.step_seconds,
        best.optimizer_seconds,
        best.link_bytes_per_step / 1e9,
        best.network_bytes_per_step / 1e9,
        best.transfer_bytes_per_step / 1e9,
        best.mfu * 100.0
    );
    if host.disk > 0 {
        sky_cli::outln!(
            "  disk, GB: optimizer {}, {:.1} a step read and written",
            gb(host.disk),
            best.disk_bytes_per_step / 1e9
        );
    }
}
