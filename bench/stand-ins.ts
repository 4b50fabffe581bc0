import type { BenchResult, BenchRun, Figure } from './bench.ts';
import { hostFigures } from './stand-ins/host.ts';
import { kustoFigures } from './stand-ins/kusto.ts';
import { s3Figures } from './stand-ins/s3.ts';
import { startUpFigures } from './stand-ins/start-up.ts';

/**
 * What each part of the local stack can do on this machine, alone: a figure of the product that comes near one of these
 * is the stand-in's and not the product's.
 */
export async function standIns(run: BenchRun): Promise<BenchResult> {
  const figures: Figure[] = [];
  for (const measure of [s3Figures, kustoFigures, hostFigures, startUpFigures])
    figures.push(...(await measure(run)));
  return {
    figures,
    notes: [
      'S3, Kusto and the bench share one process, as S3 and Kusto do in npm start; the functions host and Azurite have theirs. Goal of the start of the whole stack: 5 s when the files are in the cache of the system.',
    ],
  };
}
