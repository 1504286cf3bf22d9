package experiments

const configName = "config.yaml"
