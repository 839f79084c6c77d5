use crate::gpu_plan::{
    CONTEXT, FRAGMENTATION, LINK_EFFICIENCY, PACKING, PROCESS, PlanInput, SOCKETS, micro_tokens,
};

/// Every assumption of a plan, in words.
pub(crate) fn assumptions(input: &PlanInput<'_>) -> Vec<String> {
    let (gpu, config) = (input.gpu, input.config);
    let mut all = vec![
        format!(
            "{}: {:.0} TFLOP/s bf16 at {:.0} % efficiency (assumed), {:.0} GB/s of its memory, {:.0} GB/s to other GPUs at {:.0} %, {:.0} GB/s to the host ({})",
            gpu.name,
            gpu.bf16_flops / 1e12,
            gpu.efficiency * 100.0,
            gpu.memory_bandwidth / 1e9,
            gpu.link_bandwidth / 1e9,
            LINK_EFFICIENCY * 100.0,
            gpu.host_bandwidth / 1e9,
            gpu.source
        ),
        format!(
            "host memory at {:.0} GB/s ({})",
            input.hardware.host.memory_bandwidth / 1e9,
            input.hardware.host.source
        ),
        format!(
            "of a GPU {:.0} % for the allocator's gaps and {:.1} GB for context and workspaces; {:.0} GB of a host for each process; {:.0} GB/s a rank over sockets, for what is exchanged from host memory",
            FRAGMENTATION * 100.0,
            CONTEXT / 1e9,
            PROCESS as f64 / 1e9,
            SOCKETS / 1e9
        ),
        format!(
            "{} rows of {:.0} tokens on average, {} a step; micro-batches of {} tokens, {:.0} % full",
            input.rows,
            input.tokens_per_row,
            config.global_batch,
            micro_tokens(input),
            PACKING * 100.0
        ),
        format!(
            "ZeRO stage {}: weights gathered and f32 gradients reduced are hidden behind compute when that takes longer; an offloaded optimizer behind the next step's first forward pass, any other behind nothing",
            config.zero_stage
        ),
        match input.hosts {
            0 | 1 => "one host".to_owned(),
            hosts => format!(
                "{hosts} hosts, {:.0} GB/s from one to the others at {:.0} %",
                input.hardware.host.network_bandwidth / 1e9,
                LINK_EFFICIENCY * 100.0
            ),
        } + "; settings with offload or more than one GPU are planned for, not yet run on GPUs",
        match &config.offload_folder {
            Some(_) => format!(
                "optimizer state on a disk of {:.1} GB/s, all of it read and written once a step ({})",
                input.hardware.host.disk_bandwidth / 1e9,
                input.hardware.host.source
            ),
            None => "optimizer state in memory".into(),
        },
        format!("${} a GPU hour", input.dollars_per_gpu_hour),
    ];
    all.extend(config.lora.as_ref().map(|lora| {
        format!(
            "adapters of rank {} are trained, {:.1} M parameters; the model's own are frozen: no gradient, no optimizer, no time for their gradients",
            lora.rank,
            input.shape.trained(config) as f64 / 1e6
        )
    }));
    all
}
