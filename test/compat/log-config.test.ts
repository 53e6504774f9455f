// `--log-config` with a log4j2 file as TorchServe's documentation shows them (surface spec 7.1, 11).
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCompatServer } from '../support/compat-server.ts';
import { untilInFile } from '../support/log-file.ts';
import { makeModelStore, type TestStore } from '../support/model-store.ts';
import { OBEY } from '../support/probe-handlers.ts';
import { behaviour } from './behaviour.ts';

const LOG4J2 = `<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Appenders>
    <RollingFile name="access_log" fileName="\${env:LOG_LOCATION:-logs}/access.txt" filePattern="x.%d{dd-MMM}.log.gz">
      <PatternLayout pattern="%p|%d{yyyy/MM/dd HH:mm:ss}|%c|%m%n"/>
      <Policies><SizeBasedTriggeringPolicy size="1 KB"/><TimeBasedTriggeringPolicy/></Policies>
      <DefaultRolloverStrategy max="2"/>
    </RollingFile>
    <File name="model_log" fileName="model.json"><JSONPatternLayout/></File>
    <Console name="STDOUT" target="SYSTEM_OUT">
      <ThresholdFilter level="warn"/>
      <PatternLayout pattern="console %-5p %c{1} %m%n"/>
    </Console>
  </Appenders>
  <Loggers>
    <Logger name="ACCESS_LOG" level="info" additivity="false"><AppenderRef ref="access_log"/></Logger>
    <Logger name="MODEL_LOG" level="warn" additivity="false"><AppenderRef ref="model_log"/></Logger>
    <Logger name="org.pytorch.serve.wlm" level="error"/>
    <Logger name="TS_METRICS" level="off"/>
    <Root level="info"><AppenderRef ref="STDOUT"/></Root>
  </Loggers>
</Configuration>
`;

describe('--log-config', () => {
  let store: TestStore;
  let dir = '';
  before(() => {
    store = makeModelStore();
    store.add('obey', OBEY);
    dir = mkdtempSync(join(tmpdir(), 'davy-log4j-'));
  });
  after(() => {
    store[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const write = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };

  behaviour(
    '11',
    'same',
    'a log4j2 XML file decides over levels, files, rolling, the console and the patterns of lines',
    async () => {
      await using server = await startCompatServer({
        modelStore: store.dir,
        models: ['obey'],
        flags: ['--log-config', write('log4j2.xml', LOG4J2)],
      });
      await server.ready('obey');
      const logs = join(server.dir, 'logs');
      const code = 'import sys\nprint("quiet")\nprint("loud", file=sys.stderr)\nreturn ["x"]';
      assert.equal((await server.infer('/predictions/obey?q=%22', { method: 'POST', body: code })).text, 'x');
      await untilInFile(
        join(logs, 'access.txt'),
        /^INFO\|\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d\|ACCESS_LOG\|\/127\.0\.0\.1:\d+ "POST \/predictions\/obey\S* HTTP\/1\.1" 200 \d+$/m,
      );
      await untilInFile(join(server.dir, 'model.json'), /"message":"loud"/);
      const [model] = readFileSync(join(server.dir, 'model.json'), 'utf8').split('\n');
      assert.deepEqual((JSON.parse(model ?? '') as { level: string }).level, 'warn');
      assert.doesNotMatch(readFileSync(join(server.dir, 'model.json'), 'utf8'), /quiet/);

      await server.until(/^console INFO {2}ModelServer Model Store: /m);
      assert.doesNotMatch(server.output(), /State change|ACCESS_LOG|Requests2XX|MODEL_LOG|loud/);
      assert.equal(existsSync(join(logs, 'ts_log.log')), false);
      await server.until(/ModelServer Without effect in \S+log4j2\.xml: line 11: <ThresholdFilter>\./);

      for (let sent = 0; sent < 30; sent++) await server.infer('/ping');
      const rolled = (): readonly string[] => readdirSync(logs).filter((name) => /\.gz$/.test(name));
      const deadline = performance.now() + 10_000;
      while (rolled().length === 0 && performance.now() < deadline) {
        await server.infer('/ping');
        await sleep(60);
      }
      assert.ok(rolled().length > 0, readdirSync(logs).join());
    },
  );

  behaviour(
    '11',
    'same',
    'vmargs=-Dlog4j.configurationFile=file:///… names one, too; one that cannot be read is told, and the usual files are written',
    async () => {
      const file = write('broken.xml', '<Configuration>\n<Appenders>');
      await using server = await startCompatServer({
        modelStore: store.dir,
        config: [`vmargs=-Xmx1g -Dlog4j.configurationFile=file://${file}`],
      });
      await server.until(
        /The log configuration \S+broken\.xml is not used: line 2: <Appenders> is not closed\. The usual log files/,
      );
      assert.ok(existsSync(join(server.dir, 'logs', 'ts_log.log')));
    },
  );
});
