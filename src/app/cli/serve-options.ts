// The flags shared by `davy serve` and `davy config`.
import { type Command, Option } from 'commander';

/** Adds them to a command; `ServeFlags` is what commander makes of them. */
export function addServeOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'configuration file (TS_CONFIG_FILE wins; default: ./config.properties)')
    .option('-s, --model-store <dir>', 'directory of model archives')
    .option('-m, --models <models...>', 'models to load: all, or [name=]archive ...')
    .option('--inference-address <address>', 'default http://127.0.0.1:8080')
    .option('--management-address <address>', 'default http://127.0.0.1:8081')
    .option('--metrics-address <address>', 'default http://127.0.0.1:8082')
    .option('--dt, --disable-token-auth', 'serve everybody who can connect')
    .option('--enable-model-api', 'let clients register and unregister models')
    .option('--insecure-bind', 'allow clear text on addresses other than loopback')
    .addOption(new Option('--isolation <level>', 'cage of the workers').choices(['strict', 'process', 'none']))
    .option('--python <command>', 'interpreter of Python workers')
    .option('--ncs, --no-config-snapshots', 'neither read nor write snapshots')
    .option('--workflow-store <dir>', 'directory of workflow archives')
    .option('--log-config <file>', 'log4j2 XML file: levels, files and patterns of the logs')
    .addOption(new Option('--cpp-log-config <file>').hideHelp())
    .addOption(new Option('--ppath, --plugins-path <path>').hideHelp())
    .option('--set <key=value...>', 'any key of docs/configuration.md');
}
