/** The tables of the demonstration loads, with their mappings and a batching window that a person can wait for. */
const BATCHING = JSON.stringify({
  MaximumBatchingTimeSpan: '00:00:10',
  MaximumNumberOfItems: 500,
  MaximumRawDataSizeMB: 1024,
});

const flightsMapping = JSON.stringify(
  ['date', 'delay', 'distance', 'origin', 'destination'].map((column) => ({
    Column: column,
    Properties: { Path: `$.${column}` },
  })),
);
const zipcodesMapping = JSON.stringify(
  ['zip_code', 'latitude', 'longitude', 'city', 'state', 'county'].map((column, index) => ({
    Column: column,
    Properties: { Ordinal: String(index) },
  })),
);

/** Management commands, to be run in order. */
export const TABLE_COMMANDS: readonly string[] = [
  `.create-merge table Flights (['date']:string, delay:int, distance:int, origin:string, destination:string)`,
  `.create-or-alter table Flights ingestion json mapping 'flights_json' '${flightsMapping}'`,
  `.create-merge table Zipcodes (zip_code:string, latitude:real, longitude:real, city:string, state:string, county:string)`,
  `.create-or-alter table Zipcodes ingestion csv mapping 'zipcodes_csv' '${zipcodesMapping}'`,
  `.create-merge table Birdstrikes (['Airport Name']:string, ['Aircraft Make Model']:string, ['Effect Amount of damage']:string, ['Flight Date']:datetime, ['Aircraft Airline Operator']:string, ['Origin State']:string, ['Phase of flight']:string, ['Wildlife Size']:string, ['Wildlife Species']:string, ['Time of day']:string, ['Cost Other']:long, ['Cost Repair']:long, ['Cost Total $']:long, ['Speed IAS in knots']:int)`,
  `.create-merge table Flights3m (['date']:datetime, delay:long, distance:long, origin:string, destination:string)`,
  ...['Flights', 'Zipcodes', 'Birdstrikes', 'Flights3m'].map(
    (table) => `.alter table ${table} policy ingestionbatching '${BATCHING}'`,
  ),
];
