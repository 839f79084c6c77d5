//! Logits, loss and every parameter's gradient for a few rows packed into one sequence: the side of
//! `cargo xtask bench train`'s part `reference` that is compared.
//!
//!     gradients MODEL ROWS.json f32|bf16 OUT.safetensors
//!
//! ROWS is a list of lists of token ids; the loss is the sum of the cross-entropies of each row's
//! next tokens. OUT has, in f32, `loss` `[1]`, `logits` `[tokens, vocab]` and the gradients by
//! their parameters' names.

use std::{collections::HashMap, error::Error, fs, path::Path};

use sky_model::{
    Config, IGNORE_INDEX, ModelFiles, PackedSequences, ParamSpec, blocks, embed, head_logits,
    head_loss, layer, save_tensors,
};
use tch::{Device, Kind, Tensor, no_grad};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, precision, out] = args.as_slice() else {
        return Err("gradients MODEL ROWS.json f32|bf16 OUT.safetensors".into());
    };
    let kind = match precision.as_str() {
        "f32" => Kind::Float,
        "bf16" => Kind::BFloat16,
        other => return Err(format!("`{other}` is neither f32 nor bf16").into()),
    };
    let rows: Vec<Vec<i64>> = serde_json::from_str(&fs::read_to_string(rows)?)?;
    let files = ModelFiles::open(Path::new(model))?;
    let found = gradients(&files, &rows, kind)?;
    let specs: Vec<ParamSpec> = found
        .iter()
        .map(|(name, tensor)| ParamSpec::new(name, &tensor.size()))
        .collect();
    let by_name: HashMap<&String, &Tensor> = found.iter().map(|(name, t)| (name, t)).collect();
    save_tensors(Path::new(out), &specs, Kind::Float, &mut |param| {
        Ok(by_name[&param.name].shallow_clone())
    })?;
    Ok(())
}

fn gradients(
    files: &ModelFiles,
    rows: &[Vec<i64>],
    kind: Kind,
) -> Result<Vec<(String, Tensor)>, Box<dyn Error>> {
    let config: &Config = files.config();
    let params: Vec<Vec<Tensor>> = blocks(config)
        .iter()
        .map(|block| {
            let block = files.block(block, kind)?;
            Ok(block
                .into_iter()
                .map(|p| p.set_requires_grad(true))
                .collect())
        })
        .collect::<Result<_, sky_model::ModelError>>()?;
    let lengths: Vec<i64> = rows.iter().map(|row| row.len() as i64).collect();
    let sequences = PackedSequences::new(config, &lengths, kind, Device::Cpu);
    let next = |row: &Vec<i64>| [row.get(1..).unwrap_or_default(), &[IGNORE_INDEX]].concat();
    let targets = Tensor::from_slice(&rows.iter().flat_map(next).collect::<Vec<_>>());
    let mut x = embed(&params[0], &Tensor::from_slice(&rows.concat()));
    for block in &params[1..=config.num_layers] {
        x = layer(config, block, &x, &sequences);
    }
    let head = &params[config.num_layers + 1];
    let matrix = head.get(1).unwrap_or(&params[0][0]);
    let loss = head_loss(config, &head[0], matrix, &x, &targets, 1024).sum;
    let logits = no_grad(|| head_logits(config, &head[0], matrix, &x));
    let all: Vec<&Tensor> = params.iter().flatten().collect();
    let grads = sky_torch::backward(&[&loss], &[&loss.ones_like()], &all)?;
    let names = blocks(config).into_iter().flat_map(|block| block.params);
    let mut found = vec![
        ("loss".to_owned(), loss.detach().view([1])),
        ("logits".to_owned(), logits),
    ];
    for (param, grad) in names.zip(grads) {
        let grad = grad.ok_or_else(|| format!("`{}` took no part", param.name))?;
        found.push((param.name, grad));
    }
    Ok(found)
}
